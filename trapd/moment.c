#include "trapd/moment.h"

enum { DAYS_OF_400_YEARS = 146097, DAYS_OF_1970 = 719468 }; /* since the first of March of the year 0 */

struct date {
    int64_t year, month, day;
};

/* The Gregorian calendar repeats itself every 400 years. Years that begin with March have the leap day as
 * their last one, so that the months before it are always of the same lengths: 153 days in each five. */
static struct date date_of(int64_t days_since_1970)
{
    const int64_t days = days_since_1970 + DAYS_OF_1970;
    const int64_t cycle = days / DAYS_OF_400_YEARS, of_cycle = days % DAYS_OF_400_YEARS;
    const int64_t year = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    const int64_t of_year = of_cycle - (365 * year + year / 4 - year / 100);
    const int64_t month = (5 * of_year + 2) / 153;
    const int64_t in_month = of_year - (153 * month + 2) / 5;

    return (struct date){cycle * 400 + year + (month >= 10), month < 10 ? month + 3 : month - 9,
                         in_month + 1};
}

void moment_octets(int64_t wall_ns, uint8_t octets[static MOMENT_OCTETS])
{
    const int64_t tenths = MAX(wall_ns, 0) / (NS_PER_S / 10), seconds = tenths / 10;
    const struct date date = date_of(seconds / 86400);

    octets[0] = (uint8_t)(date.year >> 8);
    octets[1] = (uint8_t)(date.year & 255);
    octets[2] = (uint8_t)date.month;
    octets[3] = (uint8_t)date.day;
    octets[4] = (uint8_t)(seconds / 3600 % 24);
    octets[5] = (uint8_t)(seconds / 60 % 60);
    octets[6] = (uint8_t)(seconds % 60);
    octets[7] = (uint8_t)(tenths % 10);
    octets[8] = '+';
    octets[9] = octets[10] = 0;
}
