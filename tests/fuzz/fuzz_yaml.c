/* SPDX-License-Identifier: EUPL-1.2 */
/* tests/fuzz/fuzz_yaml.c: a file of records in YAML, as `essaim publish` reads it. */
#include "tests/fuzz/records.h"

struct fy_token;
const char *__real_fy_token_get_text(struct fy_token *token, size_t *size);
const char *__wrap_fy_token_get_text(struct fy_token *token, size_t *size);
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

/* libfyaml 0.7.12 loses a block of half a kilobyte or more in here for a quoted scalar with six
 * escapes. That is nothing to a command that ends, and not ours to free; what we forget to free,
 * events and parsers, is still found. */
const char *__wrap_fy_token_get_text(struct fy_token *token, size_t *size)
{
    if (__lsan_disable != NULL) {
        __lsan_disable();
    }
    const char *text = __real_fy_token_get_text(token, size);
    if (__lsan_enable != NULL) {
        __lsan_enable();
    }
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    records_check(bytes_of(data, size), "records.yaml");
    return 0;
}
