/* base/version.h - of the program. */
#ifndef KT_BASE_VERSION_H
#define KT_BASE_VERSION_H

#define KT_VERSION_TEXT "0.1.0"

#endif
