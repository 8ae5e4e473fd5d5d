# Completion for bash: kontor itself knows its words. Installed by `make install`; by hand: source deploy/kontor.bash
complete -o default -o nospace -C 'kontor --complete' kontor
