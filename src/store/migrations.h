/* store/migrations.h - the numbered files of migrations/, embedded at build time. Number N is element N - 1.
 * A database's user_version is the number of the last one that it has had; numbers are never changed, only added.
 */
#ifndef KT_STORE_MIGRATIONS_H
#define KT_STORE_MIGRATIONS_H

extern const char *const kt_store_migrations[];
extern const unsigned kt_store_migration_count;

#endif
