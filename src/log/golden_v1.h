/* log/golden_v1.h - a whole log folder of format 1, byte for byte, as programs of the first release leave it.
 *
 * Two segments of 64 KiB of which the first is sealed, its index, the state file of a clean close, the control page, a
 * snapshot and a cursor. Made from the layouts that the headers tell, by a program that shares no code with them; what is
 * not listed is zero. Logs with such bytes exist: a line here is never changed. A new format gets a file of its own.
 */
#ifndef KT_LOG_GOLDEN_V1_H
#define KT_LOG_GOLDEN_V1_H

#include <stdint.h>

typedef struct golden_piece {
    const char *file;
    uint64_t at;
    const char *hex;
} golden_piece;

/* clang-format off */
static const golden_piece golden_v1[] = {
    /* first segment: header */
    { "00000000000000000001.0001.seg", 0,
      "6b746c6f67736567" /* magic */
      "0100000022416ff7" /* format 1, crc of the header with crc 0 */
      "0000010000000000" /* file_size 65536 */
      "efcdab0000000000" /* schema_hash */
      "0100000000000000" /* first_seq 1 */
      "0100000000000000" /* generation 1 */
      "00002a36fe9c9717" /* created_ns */
      "01000000b04ef52c" /* subject_count 1, crc of the table */
      "3800000000000000" /* table_size 56 */
      "0010000000000000" /* data_at 4096 */
      "0000000000000000000000000000000000000000000000000000000000000000"
      "00000000000000000000000000000000" }, /* zeros */
    /* its table of subjects */
    { "00000000000000000001.0001.seg", 128,
      "00000000000000000000000000000000" /* subject 0: last_offset 0, last_seq 0 */
      "2000000000000000" /*   at 32, flags 0 */
      "0000010000000000" /*   name of 0 bytes, epochs: 1 */
      "111111111111111101000000000000000100000000000000" }, /* epoch of subject 0: first_offset 1, first_seq 1 */
    { "00000000000000000001.0001.seg", 4096,
      "6800000065ef8549" /* KT_CTL_SUBJECT: size 104, crc */
      "010008a000000000" /* kind 1, flags 8 and padding 5, subject 0 */
      "01000000000000000100000000000000" /* seq 1, offset 1 */
      "01002a36fe9c97170000000000000000" /* time_ns, cause 0 */
      "0100000000000000" /* id 1, flags 0 */
      "22222222222222220100000000000000" /* epoch, first_offset 1 */
      "1300000000000000" /* name of 19 bytes */
      "7472616465732e73696d2e4254432f555344540000000000" }, /* "trades.sim.BTC/USDT" */
    { "00000000000000000001.0001.seg", 4200,
      "5800000075799a80" /* KT_CTL_SUBJECT: size 88, crc */
      "0100084000000000" /* kind 1, flags 8 and padding 2, subject 0 */
      "02000000000000000200000000000000" /* seq 2, offset 2 */
      "02002a36fe9c97170000000000000000" /* time_ns, cause 0 */
      "0200000001000000" /* id 2, flags 1 */
      "33333333333333330100000000000000" /* epoch, first_offset 1 */
      "0600000000000000" /* name of 6 bytes */
      "6c65646765720000" }, /* "ledger" */
    { "00000000000000000001.0001.seg", 4288,
      "380000003b3c58cd" /* an input: size 56, crc */
      "0100016001000000" /* kind 1, flags 1 and padding 3, subject 1 */
      "03000000000000000100000000000000" /* seq 3, offset 1 */
      "03002a36fe9c97174d00000000000000" /* time_ns, cause 77 */
      "6669727374000000" }, /* "first" */
    { "00000000000000000001.0001.seg", 4344,
      "38000000b837adac" /* an output: size 56, crc */
      "0800020002000000" /* kind 8, flags 2 and padding 0, subject 2 */
      "04000000000000000100000000000000" /* seq 4, offset 1 */
      "03002a36fe9c97170300000000000000" /* time_ns, cause 3 */
      "7365636f6e642121" }, /* "second!!" */
    { "00000000000000000001.0001.seg", 4400,
      "380000002cda08ac" /* an admit: size 56, crc */
      "6500046001000000" /* kind 101, flags 4 and padding 3, subject 1 */
      "05000000000000000200000000000000" /* seq 5, offset 2 */
      "05002a36fe9c97170000000000000000" /* time_ns, cause 0 */
      "7468697264000000" }, /* "third" */
    { "00000000000000000001.0001.seg", 4456,
      "70000000fda9872b" /* KT_CTL_EPOCHS: size 112, crc */
      "0200080000000000" /* kind 2, flags 8 and padding 0, subject 0 */
      "06000000000000000300000000000000" /* seq 6, offset 3 */
      "06002a36fe9c97170000000000000000" /* time_ns, cause 0 */
      "0000000000000000" /* id 0 */
      "444444444444444403000000000000000600000000000000" /* epoch, first_offset 3, first_seq 6 */
      "0100000000000000" /* id 1 */
      "555555555555555503000000000000000600000000000000" }, /* epoch, first_offset 3, first_seq 6 */
    { "00000000000000000001.0001.seg", 4568,
      "38000000ee13ca04" /* an input: size 56, crc */
      "0100014001000000" /* kind 1, flags 1 and padding 2, subject 1 */
      "07000000000000000300000000000000" /* seq 7, offset 3 */
      "07002a36fe9c97174e00000000000000" /* time_ns, cause 78 */
      "666f757274680000" }, /* "fourth" */
    { "00000000000000000001.0001.seg", 4624,
      "380000001541dc05" /* KT_CTL_SEAL: size 56, crc */
      "0300080000000000" /* kind 3, flags 8 and padding 0, subject 0 */
      "08000000000000000400000000000000" /* seq 8, offset 4 */
      "08002a36fe9c97170000000000000000" /* time_ns, cause 0 */
      "0900000000000000" }, /* next_seq 9 */
    /* its index */
    { "00000000000000000001.0001.idx", 0,
      "6b746c6f67696478" /* magic */
      "01000000f14d0380" /* format 1, crc of everything with crc 0 */
      "01000000000000000900000000000000" /* first_seq 1, next_seq 9 */
      "08002a36fe9c9717" /* greatest time_ns */
      "0300000001000000" /* 3 entries, 1 mark */
      "0400000000000000" /* 4 control records */
      "000000000000000001000000000000000100000000000000" /* entry: subject 0, offset 1, seq 1 */
      "010000000000000001000000000000000300000000000000" /* entry: subject 1, offset 1, seq 3 */
      "020000000000000001000000000000000400000000000000" /* entry: subject 2, offset 1, seq 4 */
      "010000000000000000100000000000000000000000000080" /* mark: seq 1 at 4096, nothing before it */
      "0010000000000000" /* control record at 4096 */
      "6810000000000000" /* control record at 4200 */
      "6811000000000000" /* control record at 4456 */
      "1012000000000000" }, /* control record at 4624 */
    /* second segment: header, made under the next opening */
    { "00000000000000000009.0002.seg", 0,
      "6b746c6f67736567" /* magic */
      "010000001bbcb645" /* format 1, crc of the header with crc 0 */
      "0000010000000000" /* file_size 65536 */
      "efcdab0000000000" /* schema_hash */
      "0900000000000000" /* first_seq 9 */
      "0200000000000000" /* generation 2 */
      "08002a36fe9c9717" /* created_ns */
      "030000008d1f1a16" /* subject_count 3, crc of the table */
      "f800000000000000" /* table_size 248 */
      "0010000000000000" /* data_at 4096 */
      "0000000000000000000000000000000000000000000000000000000000000000"
      "00000000000000000000000000000000" }, /* zeros */
    /* its table of subjects */
    { "00000000000000000009.0002.seg", 128,
      "04000000000000000800000000000000" /* subject 0: last_offset 4, last_seq 8 */
      "6000000000000000" /*   at 96, flags 0 */
      "0000020000000000" /*   name of 0 bytes, epochs: 2 */
      "03000000000000000700000000000000" /* subject 1: last_offset 3, last_seq 7 */
      "9000000000000000" /*   at 144, flags 0 */
      "1300020000000000" /*   name of 19 bytes, epochs: 2 */
      "01000000000000000400000000000000" /* subject 2: last_offset 1, last_seq 4 */
      "d800000001000000" /*   at 216, flags 1 */
      "0600010000000000" /*   name of 6 bytes, epochs: 1 */
      "111111111111111101000000000000000100000000000000" /* epoch of subject 0: first_offset 1, first_seq 1 */
      "444444444444444403000000000000000600000000000000" /* epoch of subject 0: first_offset 3, first_seq 6 */
      "222222222222222201000000000000000100000000000000" /* epoch of subject 1: first_offset 1, first_seq 1 */
      "555555555555555503000000000000000600000000000000" /* epoch of subject 1: first_offset 3, first_seq 6 */
      "7472616465732e73696d2e4254432f555344540000000000" /* "trades.sim.BTC/USDT" */
      "333333333333333301000000000000000200000000000000" /* epoch of subject 2: first_offset 1, first_seq 2 */
      "6c65646765720000" }, /* "ledger" */
    { "00000000000000000009.0002.seg", 4096,
      "500000005fa3181f" /* KT_CTL_LOST: size 80, crc */
      "0400088000000000" /* kind 4, flags 8 and padding 4, subject 0 */
      "09000000000000000500000000000000" /* seq 9, offset 5 */
      "09002a36fe9c97170000000000000000" /* time_ns, cause 0 */
      "0100000004000000" /* why KT_LOST_CURSOR, name of 4 bytes */
      "01000000000000000200000000000000" /* from_seq 1, to_seq 2 */
      "736c6f7700000000" }, /* "slow" */
    { "00000000000000000009.0002.seg", 4176,
      "30000000ed1965b1" /* an input without a payload: size 48, crc */
      "0900010002000000" /* kind 9, flags 1 and padding 0, subject 2 */
      "0a000000000000000200000000000000" /* seq 10, offset 2 */
      "0a002a36fe9c97174f00000000000000" }, /* time_ns, cause 79 */
    /* the state file, slot 0 */
    { "state", 0,
      "6b746c6f67737461" /* magic */
      "010000006873c1eb" /* format 1, crc of the slot with crc 0 */
      "0400000000000000" /* counter 4 */
      "07070707070707070707070707070707" /* boot_id */
      "08000000000000000100000000000000" /* durable 8, first_seq 1 */
      "02000000000000000000000000000000" }, /* generation 2, clean 0 */
    /* slot 1, the newer */
    { "state", 4096,
      "6b746c6f67737461" /* magic */
      "010000002172fa47" /* format 1, crc of the slot with crc 0 */
      "0500000000000000" /* counter 5 */
      "07070707070707070707070707070707" /* boot_id */
      "0a000000000000000100000000000000" /* durable 10, first_seq 1 */
      "02000000000000000100000000000000" }, /* generation 2, clean 1 */
    /* the control page */
    { "control", 0,
      "6b746c6f6763746c" /* magic */
      "0100000000000000" /* format 1 */
      "2598e63fe641925e" /* boot_key: the hash of the boot id */
      "02000000000000000100000000000000" /* generation 2, first_seq 1 */
      "000000000000000000000000000000000000000000000000" /* writer_pid 0: closed; up to the line */
      "0a00000000000000000000000000000000000000000000000000000000000000"
      "0000000000000000000000000000000000000000000000000000000000000000" /* written 10 */
      "0a00000000000000" }, /* durable 10 */
    /* a snapshot */
    { "snapshots/00000000000000000007.snap", 0,
      "6b746c6f67736e61" /* magic */
      "01000000432f1b2e" /* format 1, crc of the header with crc 0 and of the bytes */
      "07000000000000004444444444444444" /* seq 7, epoch of the log */
      "1700000000000000" /* size 23 */
      "0300000000000000" /* version 3 */
      "77686174207365727669636573206b6e65772061742037" }, /* "what services knew at 7" */
    /* a cursor, slot 0 */
    { "cursors/store", 0,
      "6b746c6f67637572" /* magic */
      "0100000052fe050c" /* format 1, crc of the slot with crc 0 */
      "0200000000000000" /* counter 2 */
      "4444444444444444" /* epoch of the log */
      "09000000000000000700000000000000" }, /* seq 9, safe 7 */
    /* slot 1, the older */
    { "cursors/store", 512,
      "6b746c6f67637572" /* magic */
      "010000007e968f84" /* format 1, crc of the slot with crc 0 */
      "0100000000000000" /* counter 1 */
      "4444444444444444" /* epoch of the log */
      "06000000000000000500000000000000" }, /* seq 6, safe 5 */
};
/* clang-format on */

/* Files are at least this long: zeros behind the last piece. */
static const struct golden_size {
    const char *file;
    uint64_t size;
} golden_v1_sizes[] = {
    { "00000000000000000001.0001.seg", 65536 },
    { "00000000000000000009.0002.seg", 65536 },
    { "state", 8192 },
    { "control", 4096 },
};

#endif
