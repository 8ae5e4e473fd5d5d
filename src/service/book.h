/* service/book.h - the service that keeps books by price level and says what the best prices are.
 *
 *      book (change), ticker           answer        timer
 *               |                        |             |
 *          [ held back ] ----------> [ level2 ]    [ asking ] -> request
 *                                        |
 *                                        v
 *                              book, ticker
 *
 * Rule     changes are held until REST has given the whole book, and then continue it by the venue's own rule
 *          (book/level2.h). After a gap that one book is lost and asked for anew; no other waits for it, and its
 *          subscribers see nothing until the next snapshot. Where the stream gives the whole book (kt_venue_books), nothing
 *          is held: changes come in order, a checksum that does not hold loses the book, and asking for it means to
 *          subscribe to it anew. Its updates are numbered here, one a change.
 * Asking   one request a venue at a time, KT_BOOK_SPACING_NS apart (a whole book costs a venue much), the one that has
 *          waited longest first; after a failure later each time, and not before the venue allows it.
 * Inputs   book and ticker of the stream, answer, timer, lane_start. Other kinds are skipped.
 * Outputs  book: a snapshot of the best KT_BOOK_TOLD_MAX levels of each side when it is known (again), and with the first
 *          change after KT_BOOK_SNAPSHOT_NS; every change. ticker: each that is newer than the one before. request
 *          (carried out by service/feed.h).
 * Actions  book.snapshot, ticker.latest.
 * Bounds   KT_BOOK_MAX books, made when the first message about a symbol comes; KT_BOOK_HELD_MAX bytes of changes are held
 *          for one, the oldest given up for the newest.
 */
#ifndef KT_SERVICE_BOOK_H
#define KT_SERVICE_BOOK_H

#include "base/time.h"
#include "lane/service.h"

#define KT_BOOK_SPACING_NS (KT_NS_PER_S / 2)
#define KT_BOOK_SNAPSHOT_NS (60 * KT_NS_PER_S)

enum {
    KT_BOOK_MAX = 4096,
    KT_BOOK_TOLD_MAX = 1000, /* levels of each side in a snapshot, and asked for */
    KT_BOOK_HELD_MAX = 1 << 20,
};

extern const kt_service_spec kt_book_service;

#endif
