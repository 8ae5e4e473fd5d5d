"""Write the migrations given as arguments into one C file: the array kt_store_migrations, in the order of their numbers."""
import pathlib
import sys

out, *files = sys.argv[1:]
with open(out, 'w', encoding='utf-8') as c:
    c.write('#include "store/migrations.h"\n\nconst char *const kt_store_migrations[] = {\n')
    for number, name in enumerate(sorted(files), start=1):
        assert pathlib.Path(name).stem == f'{number:04}', f'{name}: expected number {number:04}'
        for line in pathlib.Path(name).read_text(encoding='utf-8').splitlines():
            quoted = line.replace('\\', '\\\\').replace('"', '\\"')
            c.write(f'    "{quoted}\\n"\n')
        c.write('    ,\n')
    c.write('};\nconst unsigned kt_store_migration_count = sizeof kt_store_migrations / sizeof kt_store_migrations[0];\n')
