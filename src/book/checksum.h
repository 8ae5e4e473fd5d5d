/* book/checksum.h - what venues publish so that a client can tell whether its book is theirs.
 *
 * Kraken   https://docs.kraken.com/api/docs/guides/spot-ws-book-v1 and -v2: the CRC-32 (IEEE 802.3) of one text:
 *          the best ten asks from the least price up, then the best ten bids from the greatest down; each its price, then
 *          its quantity, with all the digits that the venue writes, without the point and without zeros in front. A side
 *          with fewer levels gives as many as it has. Levels beyond the tenth are not covered, whatever the depth.
 */
#ifndef KT_BOOK_CHECKSUM_H
#define KT_BOOK_CHECKSUM_H

#include "book/level2.h"

/* KT_RANGE: a price or quantity has more digits than the venue has written (kt_level2_written), or too many for 63 bits:
 * the venue's book is another. */
kt_code kt_checksum_kraken(const kt_level2 *book, uint32_t *out_checksum);

#endif
