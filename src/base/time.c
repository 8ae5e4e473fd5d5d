#include "base/time.h"

#include "base/assert.h"
#include "base/swar.h"

enum { DAYS_PER_ERA = 146097, DAYS_TO_1970 = 719468 }; /* 400 years; from 0000-03-01 to 1970-01-01 */

/* Proleptic Gregorian calendar with years that begin in March, so that the leap day is the last of its year
 * (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_from_civil(int64_t year, uint32_t month, uint32_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    uint32_t year_of_era = (uint32_t)(year - era * 400);
    uint32_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    uint32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

static void civil_from_days(int64_t days, uint32_t *out_year, uint32_t *out_month, uint32_t *out_day)
{
    uint32_t since = (uint32_t)(days + DAYS_TO_1970); /* years 1677 to 2262: never negative */
    uint32_t era = since / DAYS_PER_ERA;
    uint32_t day_of_era = since % DAYS_PER_ERA;
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t shifted = (5 * day_of_year + 2) / 153;

    *out_day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *out_month = shifted < 10 ? shifted + 3 : shifted - 9;
    *out_year = year_of_era + era * 400 + (*out_month <= 2);
}

static int64_t divide_down(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

static char *digits_put(char *at, uint32_t number, int count)
{
    for (int i = count - 1; i >= 0; i--, number /= 10)
        at[i] = (char)('0' + number % 10);
    return at + count;
}

size_t kt_time_format_iso(char *out, size_t size, int64_t time_ns)
{
    kt_assert(size >= KT_TIME_TEXT_MAX);
    int64_t days = divide_down(time_ns, KT_NS_PER_DAY);
    int64_t of_day = time_ns % KT_NS_PER_DAY + (time_ns % KT_NS_PER_DAY < 0 ? KT_NS_PER_DAY : 0);
    uint32_t second = (uint32_t)(of_day / KT_NS_PER_S);
    uint32_t fraction = (uint32_t)(of_day % KT_NS_PER_S);
    uint32_t year, month, day;
    char *at = out;

    civil_from_days(days, &year, &month, &day);
    at = digits_put(at, year, 4);
    *at++ = '-';
    at = digits_put(at, month, 2);
    *at++ = '-';
    at = digits_put(at, day, 2);
    *at++ = 'T';
    at = digits_put(at, second / 3600, 2);
    *at++ = ':';
    at = digits_put(at, second / 60 % 60, 2);
    *at++ = ':';
    at = digits_put(at, second % 60, 2);
    *at++ = '.';
    if (fraction % 1000000 == 0)
        at = digits_put(at, fraction / 1000000, 3);
    else if (fraction % 1000 == 0)
        at = digits_put(at, fraction / 1000, 6);
    else
        at = digits_put(at, fraction, 9);
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - out);
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* Walks over the text as `shape` says: '0' stands for a digit of the next number, which ends where another character
 * stands in the shape; other characters stand for themselves. */
static bool shape_read(const char **at, const char *end, const char *shape, uint32_t *numbers)
{
    *numbers = 0;
    for (; *shape != '\0'; shape++, (*at)++) {
        if (*at == end)
            return false;
        if (*shape == '0') {
            if (!kt_is_digit(**at))
                return false;
            *numbers = *numbers * 10 + (uint32_t)(**at - '0');
        } else {
            if (**at != *shape)
                return false;
            *++numbers = 0;
        }
    }
    return true;
}

static bool zone_read(const char **at, const char *end, int64_t *out_ns, bool *out_exists)
{
    uint32_t part[2];

    if (*at == end)
        return false;
    char sign = *(*at)++;
    *out_exists = true;
    if (sign == 'Z') {
        *out_ns = 0;
        return true;
    }
    if ((sign != '+' && sign != '-') || !shape_read(at, end, "00:00", part))
        return false;
    *out_exists = part[0] < 24 && part[1] < 60;
    *out_ns = (int64_t)(part[0] * 60 + part[1]) * KT_NS_PER_MIN * (sign == '-' ? -1 : 1);
    return true;
}

kt_code kt_time_parse_iso(kt_text text, int64_t *out_time_ns)
{
    const char *at = text.s;
    const char *end = text.n != 0 ? text.s + text.n : text.s;
    uint32_t part[6]; /* year, month, day, hour, minute, second */
    uint32_t fraction = 0;
    int64_t zone_ns;
    bool zone_exists;

    if (!shape_read(&at, end, "0000-00-00T00:00:00", part))
        return KT_SYNTAX;
    if (at < end && *at == '.') {
        int count = 0;
        for (at++; at < end && kt_is_digit(*at) && count < 9; at++, count++)
            fraction = fraction * 10 + (uint32_t)(*at - '0');
        if (count == 0)
            return KT_SYNTAX;
        for (; count < 9; count++)
            fraction *= 10;
    }
    if (!zone_read(&at, end, &zone_ns, &zone_exists) || at != end)
        return KT_SYNTAX;
    if (part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > days_in_month(part[0], part[1]) || part[3] > 23 ||
        part[4] > 59 || part[5] > 59 || !zone_exists)
        return KT_RANGE;

    int64_t seconds = days_from_civil(part[0], part[1], part[2]) * 86400 + part[3] * 3600 + part[4] * 60 + part[5];
    kt_i128 time_ns = (kt_i128)seconds * KT_NS_PER_S + fraction - zone_ns;
    if (time_ns < INT64_MIN || time_ns > INT64_MAX)
        return KT_RANGE;
    *out_time_ns = (int64_t)time_ns;
    return KT_OK;
}

int64_t kt_time_floor(int64_t time_ns, int64_t step_ns)
{
    kt_assert(step_ns > 0);
    int64_t over = time_ns % step_ns;
    int64_t floor_ns;

    if (over < 0)
        over += step_ns;
    return __builtin_sub_overflow(time_ns, over, &floor_ns) ? INT64_MIN : floor_ns;
}

kt_code kt_time_from_ms(int64_t time_ms, int64_t *out_time_ns)
{
    int64_t time_ns;

    if (__builtin_mul_overflow(time_ms, KT_NS_PER_MS, &time_ns))
        return KT_RANGE;
    *out_time_ns = time_ns;
    return KT_OK;
}

int64_t kt_time_to_ms(int64_t time_ns)
{
    return divide_down(time_ns, KT_NS_PER_MS);
}
