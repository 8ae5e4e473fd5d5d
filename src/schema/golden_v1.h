/* schema/golden_v1.h - a record of every kind of event as the first release wrote it, byte for byte, and its JSON.
 *
 * Made from the layout that schema/table.h tells, by a program that shares no code with it. Logs with such bytes exist: a
 * line here is never changed. Fields that were appended later are not in them and read as their defaults; a new kind gets
 * a row when it is released. Quotes of the JSON stand as '.
 */
#ifndef KT_SCHEMA_GOLDEN_V1_H
#define KT_SCHEMA_GOLDEN_V1_H

#include <stdint.h>

/* clang-format off */
static const struct golden_event {
    uint16_t kind;
    const char *json;
    const char *hex;
} golden_v1[] = {
    { 1, /* tick */
      "{'venue_time':'2024-08-08T23:54:15.343Z','receive_time':'2024-08-08T23:54:15.344Z',"
      "'price':'65000.28','quantity':'0.00000005','side':'sell','trade_id':'3735693015',"
      "'trade_number':9007199254741000}",
      "5000000000000000" /* fixed_size */
      "c0896f3308e6e917" /* venue_time */
      "00cc7e3308e6e917" /* receive_time */
      "bc2e6300000000000200000000000000" /* price */
      "05000000000000000800000000000000" /* quantity */
      "02000000" /* side */
      "500000000a00000000000000" /* trade_id */
      "0800000000002000" /* trade_number */
      "33373335363933303135000000000000" }, /* texts and lists */
    { 2, /* invalid */
      "{'receive_time':'2024-08-08T23:54:15.343Z','reason':'oversized','field':'price','excerpt':'{\\\"p\\\"',"
      "'size':9007199254740998}",
      "3000000000000000" /* fixed_size */
      "c0896f3308e6e917" /* receive_time */
      "08000000" /* reason */
      "3000000005000000" /* field */
      "350000000400000000000000" /* excerpt */
      "0600000000002000" /* size */
      "70726963657b22702200000000000000" }, /* texts and lists */
    { 3, /* link */
      "{'state':'silent','reason':'because','attempt':70003,'receive_time':'2024-08-08T23:54:15.346Z'}",
      "20000000" /* fixed_size */
      "04000000" /* state */
      "2000000007000000" /* reason */
      "7311010000000000" /* attempt */
      "80509d3308e6e917" /* receive_time */
      "6265636175736500" }, /* texts and lists */
    { 4, /* instrument */
      "{'venue_symbol':'BTCUSDT','base':'BTC','quote':'USDT','price_scale':6,'quantity_scale':7,"
      "'tick':'0.00000007','lot':'65000.32','version':70008}",
      "44000000" /* fixed_size */
      "4800000007000000" /* venue_symbol */
      "4f00000003000000" /* base */
      "5200000004000000" /* quote */
      "06" /* price_scale */
      "070000" /* quantity_scale */
      "07000000000000000800000000000000" /* tick */
      "c02e6300000000000200000000000000" /* lot */
      "7811010000000000" /* version */
      "42544355534454425443555344540000" }, /* texts and lists */
    { 5, /* request */
      "{'request_id':9007199254740994,'symbol':'BTC/USDT','what':'recent trades',"
      "'from_time':'2024-08-08T23:54:15.346Z','from_id':9007199254740998,'limit':70006}",
      "3400000000000000" /* fixed_size */
      "0200000000002000" /* request_id */
      "3800000008000000" /* symbol */
      "0400000000000000" /* what */
      "80509d3308e6e917" /* from_time */
      "0600000000002000" /* from_id */
      "7611010000000000" /* limit */
      "4254432f55534454" }, /* texts and lists */
    { 6, /* answer */
      "{'request_id':9007199254740994,'status':202,'error':'timed out','symbol':'BTC/USDT',"
      "'receive_time':'2024-08-08T23:54:15.347Z','rows':[{'venue_time':'2024-08-08T23:54:15.343Z',"
      "'price':'0.00000003','quantity':'65000.28','side':'sell','trade_id':'3735693015',"
      "'trade_number':5000000006}],'row_count':70007,'invalid_count':70008,'retry_after':60000000000,"
      "'what':'recent trades','instruments':[{'symbol':'BTC/USDT','venue_symbol':'BTCUSDT','base':'BTC',"
      "'quote':'USDT','price_scale':7,'quantity_scale':8,'tick':'65000.32','lot':'0.00000009'}]}",
      "6400000000000000" /* fixed_size */
      "0200000000002000" /* request_id */
      "ca000000" /* status */
      "6800000009000000" /* error */
      "710000000800000000000000" /* symbol */
      "c092ac3308e6e917" /* receive_time */
      "80000000010000004000000040000000" /* rows */
      "77110100" /* row_count */
      "78110100" /* invalid_count */
      "005847f80d000000" /* retry_after */
      "04000000" /* what */
      "d000000001000000480000004800000000000000" /* instruments */
      "74696d6564206f75744254432f5553445400000000000000c0896f3308e6e9170300000000000000" /* texts and lists */
      "0800000000000000bc2e630000000000020000000000000002000000c00000000a00000000000000"
      "06f2052a010000003337333536393330313500000000000018010000080000002001000007000000"
      "27010000030000002a010000040000000708000000000000c02e6300000000000200000000000000"
      "090000000000000008000000000000004254432f5553445442544355534454425443555344540000" },
    { 7, /* timer */
      "{'service':'market','timer_id':5000000002,'due':'2024-08-08T23:54:15.345Z'}",
      "20000000" /* fixed_size */
      "200000000600000000000000" /* service */
      "02f2052a01000000" /* timer_id */
      "400e8e3308e6e917" /* due */
      "6d61726b65740000" }, /* texts and lists */
    { 8, /* trade */
      "{'venue_time':'2024-08-08T23:54:15.343Z','receive_time':'2024-08-08T23:54:15.344Z',"
      "'price':'65000.28','quantity':'0.00000005','side':'sell','trade_id':'3735693015',"
      "'trade_number':9007199254741000,'validated':false,'suspect':true,'source':'rest','revision':70011}",
      "5800000000000000" /* fixed_size */
      "c0896f3308e6e917" /* venue_time */
      "00cc7e3308e6e917" /* receive_time */
      "bc2e6300000000000200000000000000" /* price */
      "05000000000000000800000000000000" /* quantity */
      "02000000" /* side */
      "580000000a00000000000000" /* trade_id */
      "0800000000002000" /* trade_number */
      "00" /* validated */
      "01" /* suspect */
      "0200" /* source */
      "7b110100" /* revision */
      "33373335363933303135000000000000" }, /* texts and lists */
    { 9, /* watermark */
      "{'validated_until':'2024-08-08T23:54:15.343Z','covered_from':'2024-08-08T23:54:15.344Z',"
      "'confirmed':70003,'repaired':70004,'changed':70005,'lost':70006,'full_ms':70007,"
      "'market_time':'2024-08-08T23:54:15.350Z'}",
      "3800000000000000" /* fixed_size */
      "c0896f3308e6e917" /* validated_until */
      "00cc7e3308e6e917" /* covered_from */
      "73110100" /* confirmed */
      "74110100" /* repaired */
      "75110100" /* changed */
      "76110100" /* lost */
      "7711010000000000" /* full_ms */
      "8059da3308e6e917" }, /* market_time */
    { 10, /* vwap */
      "{'mark':'2024-08-08T23:54:15.343Z','window':60000000000,'price':'65000.28',"
      "'sum_pq':'118059162071.7411303428','sum_q':'118059162071.7411303429','trades':5000000006,"
      "'validated':true,'complete':false,'revision':70009}",
      "6800000000000000" /* fixed_size */
      "c0896f3308e6e917" /* mark */
      "005847f80d000000" /* window */
      "bc2e6300000000000200000000000000" /* price */
      "040000000000000040000000000000000a00000000000000" /* sum_pq */
      "050000000000000040000000000000000a00000000000000" /* sum_q */
      "06f2052a01000000" /* trades */
      "01" /* validated */
      "000000" /* complete */
      "79110100" }, /* revision */
    { 11, /* correction */
      "{'mark_from':'2024-08-08T23:54:15.343Z','mark_to':'2024-08-08T23:54:15.344Z','window':60000000000,"
      "'revision':70004,'old_price':'65000.3','old_sum_pq':'118059162071.741130343',"
      "'old_sum_q':'118059162071.7411303431','old_trades':5000000008,'new_price':'65000.34',"
      "'new_sum_pq':'118059162071.7411303434','new_sum_q':'118059162071.7411303435',"
      "'new_trades':5000000012,'delta_pq':'-118059162071.7411303437','delta_q':'-118059162071.7411303438',"
      "'delta_trades':-1000000000015,'cause':'changed','trade_ids':['a1','b22'],'trade_count':70018,"
      "'complete':false,'price_scale':22}",
      "0201000000000000" /* fixed_size */
      "c0896f3308e6e917" /* mark_from */
      "00cc7e3308e6e917" /* mark_to */
      "005847f80d000000" /* window */
      "7411010000000000" /* revision */
      "be2e6300000000000200000000000000" /* old_price */
      "060000000000000040000000000000000a00000000000000" /* old_sum_pq */
      "070000000000000040000000000000000a00000000000000" /* old_sum_q */
      "08f2052a01000000" /* old_trades */
      "c22e6300000000000200000000000000" /* new_price */
      "0a0000000000000040000000000000000a00000000000000" /* new_sum_pq */
      "0b0000000000000040000000000000000a00000000000000" /* new_sum_q */
      "0cf2052a01000000" /* new_trades */
      "f3ffffffffffffffbfffffffffffffff0a00000000000000" /* delta_pq */
      "f2ffffffffffffffbfffffffffffffff0a00000000000000" /* delta_q */
      "f1ef5a2b17ffffff" /* delta_trades */
      "07000000" /* cause */
      "0801000002000000" /* trade_ids */
      "82110100" /* trade_count */
      "00" /* complete */
      "16000000000000" /* price_scale */
      "18010000020000001a010000030000006131623232000000" }, /* texts and lists */
    { 12, /* feed_stats */
      "{'received':9007199254740994,'invalid':5000000002,'repeated':9007199254740996,"
      "'reordered':5000000004,'missing':9007199254740998,'repaired':5000000006,'suspect':9007199254741000,"
      "'corrected':5000000008,'skew_min':-1000000000009,'skew_max':60000000000,"
      "'market_time':'2024-08-08T23:54:15.353Z','validated_until':'2024-08-08T23:54:15.354Z',"
      "'lost':9007199254741006,'full_ms':5000000014}",
      "7800000000000000" /* fixed_size */
      "0200000000002000" /* received */
      "02f2052a01000000" /* invalid */
      "0400000000002000" /* repeated */
      "04f2052a01000000" /* reordered */
      "0600000000002000" /* missing */
      "06f2052a01000000" /* repaired */
      "0800000000002000" /* suspect */
      "08f2052a01000000" /* corrected */
      "f7ef5a2b17ffffff" /* skew_min */
      "005847f80d000000" /* skew_max */
      "4020083408e6e917" /* market_time */
      "8062173408e6e917" /* validated_until */
      "0e00000000002000" /* lost */
      "0ef2052a01000000" }, /* full_ms */
    { 13, /* book */
      "{'venue_time':'2024-08-08T23:54:15.208Z','receive_time':'2024-08-08T23:54:15.937Z','snapshot':false,"
      "'first_id':9007199254741009,'last_id':9007199254741022,'bids':[{'price':'61837.63','quantity':'0'},{'price':'61837.62','quantity':'0.617'}],"
      "'asks':[{'price':'61837.64','quantity':'1.54698'}],'resyncs':3}",
      "5400000000000000" /* fixed_size */
      "009a632b08e6e917" /* venue_time */
      "4042d75608e6e917" /* receive_time */
      "0000000000000000" /* snapshot */
      "1100000000002000" /* first_id */
      "1e00000000002000" /* last_id */
      "58000000020000002000000020000000" /* bids */
      "98000000010000002000000020000000" /* asks */
      "0300000000000000" /* resyncs */
      "535b5e0000000000020000000000000000000000000000000000000000000000525b5e0000000000020000000000000004f10000000000000500000000000000545b5e000000000002000000000000004a5c0200000000000500000000000000" }, /* texts and lists */
    { 14, /* ticker */
      "{'venue_time':'1970-01-01T00:00:00.000Z','receive_time':'2024-08-08T23:54:15.937Z','update_id':9007199254740993,"
      "'bid':'61837.63','bid_quantity':'3.78826','ask':'61837.64','ask_quantity':'1.54698'}",
      "6000000000000000" /* fixed_size */
      "0000000000000000" /* venue_time */
      "4042d75608e6e917" /* receive_time */
      "0100000000002000" /* update_id */
      "535b5e00000000000200000000000000" /* bid */
      "cac70500000000000500000000000000" /* bid_quantity */
      "545b5e00000000000200000000000000" /* ask */
      "4a5c0200000000000500000000000000" }, /* ask_quantity */
    { 15, /* candle */
      "{'begin':'2024-08-08T23:54:00.000Z','venue_time':'2024-08-08T23:54:15.208Z','receive_time':'2024-08-08T23:54:15.937Z',"
      "'interval_s':60,'open':'61837.63','high':'61840.1','low':'61837.62','close':'61840','vwap':'61838.77',"
      "'volume':'1.54698','trades':9007199254740993}",
      "9000000000000000" /* fixed_size */
      "00f0eba004e6e917" /* begin */
      "009a632b08e6e917" /* venue_time */
      "4042d75608e6e917" /* receive_time */
      "3c00000000000000" /* interval_s */
      "535b5e00000000000200000000000000" /* open */
      "a16f0900000000000100000000000000" /* high */
      "525b5e00000000000200000000000000" /* low */
      "90f10000000000000000000000000000" /* close */
      "c55b5e00000000000200000000000000" /* vwap */
      "4a5c0200000000000500000000000000" /* volume */
      "0100000000002000" }, /* trades */
    { 16, /* quality */
      "{'minute':'2024-08-08T23:54:00.000Z','revision':70002,'received':5000000003,"
      "'invalid':9007199254740996,'repeated':5,'reordered':5000000006,'missing':38,'repaired':37,"
      "'suspect':9007199254741001,'silence':4200000000,'latency_p50':-1100000000,"
      "'latency_p99':188000000,'latency_max':4210000000,'timed':5000000014}",
      "7800000000000000" /* fixed_size */
      "00f0eba004e6e917" /* minute */
      "7211010000000000" /* revision */
      "03f2052a01000000" /* received */
      "0400000000002000" /* invalid */
      "0500000000000000" /* repeated */
      "06f2052a01000000" /* reordered */
      "2600000000000000" /* missing */
      "2500000000000000" /* repaired */
      "0900000000002000" /* suspect */
      "00ea56fa00000000" /* silence */
      "00556fbeffffffff" /* latency_p50 */
      "00a7340b00000000" /* latency_p99 */
      "8080effa00000000" /* latency_max */
      "0ef2052a01000000" }, /* timed */
    { 17, /* minute */
      "{'begin':'2024-08-08T23:54:00.000Z','revision':70002,'open':'61837.63','high':'61840.1','low':'61837.62',"
      "'close':'61840','vwap':'61838.7712','volume':'118059162071.7411303428','trades':9007199254740993,"
      "'complete':true,'told':'different','told_open':'61837.63','told_high':'61840.1','told_low':'61837.64',"
      "'told_close':'61840','told_vwap':'61838.77','told_volume':'1.54699','told_trades':9007199254740994,"
      "'compared':5000000019,'different':5000000020}",
      "0801000000000000" /* fixed_size */
      "00f0eba004e6e917" /* begin */
      "7211010000000000" /* revision */
      "535b5e00000000000200000000000000" /* open */
      "a16f0900000000000100000000000000" /* high */
      "525b5e00000000000200000000000000" /* low */
      "90f10000000000000000000000000000" /* close */
      "00d9db24000000000400000000000000" /* vwap */
      "040000000000000040000000000000000a00000000000000" /* volume */
      "0100000000002000" /* trades */
      "01" /* complete */
      "02000000000000" /* told */
      "535b5e00000000000200000000000000" /* told_open */
      "a16f0900000000000100000000000000" /* told_high */
      "545b5e00000000000200000000000000" /* told_low */
      "90f10000000000000000000000000000" /* told_close */
      "c55b5e00000000000200000000000000" /* told_vwap */
      "4b5c0200000000000500000000000000" /* told_volume */
      "0200000000002000" /* told_trades */
      "13f2052a01000000" /* compared */
      "14f2052a01000000" }, /* different */
    { 100, /* lane_start */
      "{'lane':'market','generation':5000000002,'logic':70003,'seed':5000000004,"
      "'schema_hash':9007199254740998,'config':'a: 1\\n','version':'1.0'}",
      "40000000" /* fixed_size */
      "400000000600000000000000" /* lane */
      "02f2052a01000000" /* generation */
      "7311010000000000" /* logic */
      "04f2052a01000000" /* seed */
      "0600000000002000" /* schema_hash */
      "4600000005000000" /* config */
      "4b00000003000000" /* version */
      "6d61726b6574613a20310a312e300000" }, /* texts and lists */
    { 101, /* admit */
      "{'log':'market','epoch':5000000002,'up_to':9007199254740996}",
      "20000000" /* fixed_size */
      "200000000600000000000000" /* log */
      "02f2052a01000000" /* epoch */
      "0400000000002000" /* up_to */
      "6d61726b65740000" }, /* texts and lists */
    { 102, /* set_aside */
      "{'log':'market','seq':5000000002,'reason':'because','lane':'market','deaths':70005,"
      "'hash':5000000006}",
      "38000000" /* fixed_size */
      "380000000600000000000000" /* log */
      "02f2052a01000000" /* seq */
      "3e00000007000000" /* reason */
      "4500000006000000" /* lane */
      "7511010000000000" /* deaths */
      "06f2052a01000000" /* hash */
      "6d61726b6574626563617573656d61726b65740000000000" }, /* texts and lists */
    { 103, /* divergence */
      "{'input_seq':9007199254740994,'output_seq':5000000002,'expected':'this','made':'that',"
      "'lane':'market'}",
      "3000000000000000" /* fixed_size */
      "0200000000002000" /* input_seq */
      "02f2052a01000000" /* output_seq */
      "3000000004000000" /* expected */
      "3400000004000000" /* made */
      "3800000006000000" /* lane */
      "74686973746861746d61726b65740000" }, /* texts and lists */
    { 104, /* lost */
      "{'log':'market','from_seq':5000000002,'to_seq':9007199254740996,'reason':'because','reader':'store'}",
      "30000000" /* fixed_size */
      "300000000600000000000000" /* log */
      "02f2052a01000000" /* from_seq */
      "0400000000002000" /* to_seq */
      "3600000007000000" /* reason */
      "3d00000005000000" /* reader */
      "6d61726b65746265636175736573746f7265000000000000" }, /* texts and lists */
    { 105, /* kv */
      "{'key':'venue.a','value':'0001feff','revision':9007199254740996,'removed':true}",
      "21000000" /* fixed_size */
      "2800000007000000" /* key */
      "2f0000000400000000000000" /* value */
      "0400000000002000" /* revision */
      "0100000000000000" /* removed */
      "76656e75652e610001feff0000000000" }, /* texts and lists */
    { 106, /* lane_state */
      "{'lane':'market','state':'parked','pid':70003,'restarts':70004,'reason':'because',"
      "'progress':5000000006}",
      "28000000" /* fixed_size */
      "2800000006000000" /* lane */
      "05000000" /* state */
      "73110100" /* pid */
      "74110100" /* restarts */
      "2e00000007000000" /* reason */
      "06f2052a01000000" /* progress */
      "6d61726b657462656361757365000000" }, /* texts and lists */
    { 107, /* alert */
      "{'level':'error','subject':'house','text':'look'}",
      "18000000" /* fixed_size */
      "02000000" /* level */
      "1800000005000000" /* subject */
      "1d00000004000000" /* text */
      "686f7573656c6f6f6b00000000000000" }, /* texts and lists */
    { 108, /* call */
      "{'action':'vwap.latest','caller':'edge','call_id':9007199254740996,'params':'0001feff'}",
      "28000000" /* fixed_size */
      "280000000b000000" /* action */
      "330000000400000000000000" /* caller */
      "0400000000002000" /* call_id */
      "3700000004000000" /* params */
      "767761702e6c6174657374656467650001feff0000000000" }, /* texts and lists */
    { 109, /* note */
      "{'text':'hi'}",
      "0c000000" /* fixed_size */
      "1000000002000000" /* text */
      "00000000"
      "6869000000000000" }, /* texts and lists */
    { 110, /* settings */
      "{'section':'vwap','lane':'market','revision':9007199254740997,"
      "'settings':'{\\\"step_s\\\":30}','refused':'because'}",
      "30000000" /* fixed_size */
      "3000000004000000" /* section */
      "340000000600000000000000" /* lane */
      "0500000000002000" /* revision */
      "3a0000000d000000" /* settings */
      "4700000007000000" /* refused */
      "767761706d61726b65747b22737465705f73223a33307d626563617573650000" }, /* texts and lists */
};
/* clang-format on */

#endif
