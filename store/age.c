/* SPDX-License-Identifier: EUPL-1.2 */
/* store/age.c: one row of `meta`. */
#include "store/age.h"

#include "store/txn.h"

#define AGE_SIZE 16

enum err age_get(struct txn *txn, struct age *ret_age)
{
    struct bytes value;
    enum err err = txn_get(txn, TABLE_META, bytes_of_str("age"), &value);
    if (err == ERR_OK && value.size != AGE_SIZE) {
        return ERR_CORRUPT;
    }
    if (err == ERR_OK) {
        ret_age->age_s = be64_get(value.data);
        ret_age->wall_s = (int64_t) be64_get(value.data + 8);
    }
    return err;
}

enum err age_put(struct txn *txn, const struct age *age)
{
    uint8_t value[AGE_SIZE];
    be64_put(value, age->age_s);
    be64_put(value + 8, (uint64_t) age->wall_s);
    return txn_put(txn, TABLE_META, bytes_of_str("age"), BYTES_OF_ARRAY(value));
}
