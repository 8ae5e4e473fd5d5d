/* venue/sim/certificates.h - an authority of the sim's own, and the certificates that its faults need.
 *
 * Files   authority.crt, which a client is to trust; the good certificate for localhost, 127.0.0.1 and ::1, one of yesterday,
 *         one of another host and one of another authority, each {name}.crt and {name}.key. All are made anew, with new keys, and
 *         are good for an hour before and a day after that.
 */
#ifndef KT_VENUE_SIM_CERTIFICATES_H
#define KT_VENUE_SIM_CERTIFICATES_H

#include "base/error.h"

typedef enum kt_sim_certificate {
    KT_SIM_CERTIFICATE_GOOD,
    KT_SIM_CERTIFICATE_EXPIRED,
    KT_SIM_CERTIFICATE_OTHER_NAME,
    KT_SIM_CERTIFICATE_OTHER_AUTHORITY,
    KT_SIM_CERTIFICATE_COUNT
} kt_sim_certificate;

/* "good", the name of its files. */
const char *kt_sim_certificate_name(kt_sim_certificate certificate);

/* Write them into a folder, which is made if need be. KT_SYS: the message names the file. */
kt_code kt_sim_certificates_make(const char *folder, kt_err *err);

#endif
