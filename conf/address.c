/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * conf/address.c: see address.h.
 *
 * Happy path: the last colon parts host and port, brackets are taken off, every byte is checked.
 * Fails with ERR_INVALID only.
 */
#include "conf/address.h"

#include <stdbool.h>
#include <stdio.h>

static bool host_byte(uint8_t byte, bool in_brackets)
{
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    bool digit = byte >= '0' && byte <= '9';
    if (in_brackets) { /* IPv6, perhaps with a zone */
        return letter || digit || byte == ':' || byte == '.' || byte == '%' || byte == '-';
    }
    return letter || digit || byte == '.' || byte == '-' || byte == '_';
}

static enum err port_parse(struct bytes text, uint16_t *ret_port)
{
    unsigned port = 0;
    if (text.size == 0 || text.size > 5) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return ERR_INVALID;
        }
        port = port * 10 + (unsigned) (text.data[i] - '0');
    }
    if (port > UINT16_MAX) {
        return ERR_INVALID;
    }
    *ret_port = (uint16_t) port;
    return ERR_OK;
}

static enum err host_parse(struct bytes text, char ret_host[ADDRESS_HOST_MAX + 1])
{
    bool in_brackets = text.size >= 2 && text.data[0] == '[' && text.data[text.size - 1] == ']';
    if (in_brackets) {
        text = bytes_of(text.data + 1, text.size - 2);
        if (text.size == 0 || memchr(text.data, ':', text.size) == NULL) {
            return ERR_INVALID; /* only IPv6 stands in brackets */
        }
    }
    if (bytes_equal(text, bytes_of_str("*"))) {
        ret_host[0] = '\0';
        return ERR_OK;
    }
    if (text.size == 0 || text.size > ADDRESS_HOST_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (!host_byte(text.data[i], in_brackets)) {
            return ERR_INVALID;
        }
    }
    memcpy(ret_host, text.data, text.size);
    ret_host[text.size] = '\0';
    return ERR_OK;
}

enum err address_parse(struct bytes text, struct address *ret_address)
{
    size_t colon = text.size;
    while (colon > 0 && text.data[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0) {
        return ERR_INVALID;
    }
    struct address address = {0};
    enum err err = host_parse(bytes_of(text.data, colon - 1), address.host);
    if (err != ERR_OK) {
        return err;
    }
    err = port_parse(bytes_of(text.data + colon, text.size - colon), &address.port);
    if (err != ERR_OK) {
        return err;
    }
    *ret_address = address;
    return ERR_OK;
}

void address_print(const struct address *address, char ret_text[ADDRESS_TEXT_MAX])
{
    bool brackets = strchr(address->host, ':') != NULL;
    const char *host = address->host[0] == '\0' ? "*" : address->host;
    (void) snprintf(ret_text, ADDRESS_TEXT_MAX, "%s%s%s:%u", brackets ? "[" : "", host,
                    brackets ? "]" : "", (unsigned) address->port);
}
