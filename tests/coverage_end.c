/* Processes of the house that end without exit() still count: linked into builds of tests/coverage only (ld's --wrap).
 *
 * gcc writes counters at exit(). Lanes and children of tests end by _exit(), abort() or a signal that they raise, so the
 * counters are written before. Those of a process that is killed from outside are lost. */
#define LOCAL __attribute__((visibility("hidden"))) /* shared libraries have counters of their own */

void __gcov_dump(void);
void __gcov_reset(void);
_Noreturn void __real__exit(int status);
_Noreturn void __real_abort(void);
int __real_raise(int number);
LOCAL _Noreturn void __wrap__exit(int status);
LOCAL _Noreturn void __wrap_abort(void);
LOCAL int __wrap_raise(int number);

LOCAL void __wrap__exit(int status)
{
    __gcov_dump();
    __real__exit(status);
}

LOCAL void __wrap_abort(void)
{
    __gcov_dump();
    __real_abort();
}

LOCAL int __wrap_raise(int number)
{
    __gcov_dump();
    __gcov_reset(); /* it may live on */
    return __real_raise(number);
}
