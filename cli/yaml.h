/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * cli/yaml.h: reads one YAML 1.2 document (core schema) into a builder, record by record.
 *
 * A document is a map, that is one record, or a list of such maps. Works on libfyaml's events:
 * no document tree is built and no alias ever resolved. Anchors, aliases, tags and merge keys are
 * refused, and so are numbers that are no integers or that look like codes (leading zero).
 */
#ifndef ESSAIM_CLI_YAML_H
#define ESSAIM_CLI_YAML_H

#include "cli/build.h"

struct fy_parser;
struct fy_diag;

struct yaml {
    struct fy_parser *parser;
    struct fy_diag *diag;
    bool in_list; /* the document is a list of records */
    bool broken;  /* it cannot be read on */
    uint64_t at;  /* of the last event */
};

/* Places of the builder are YAML_AT(line, column), both from 0. */
#define YAML_AT(line, column) ((uint64_t) (line) << 32 | (uint32_t) (column))
#define YAML_LINE(at) ((size_t) ((at) >> 32))
#define YAML_COLUMN(at) ((size_t) ((at) &UINT32_MAX))

/* `document` must outlive the reader. ERR_SYNTAX for bytes that YAML cannot hold; build->flaw. */
MUST_USE enum err yaml_open(struct yaml *ret_yaml, struct bytes document, struct build *build);
void yaml_close(struct yaml *yaml);
/* The next record; *ret_found false at the end of the document. ERR_SYNTAX, or an error of the
 * builder; the next record can be asked for all the same unless yaml->broken. */
MUST_USE enum err yaml_next(struct yaml *yaml, struct build *build, bool *ret_found);

#endif
