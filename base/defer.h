/* SPDX-License-Identifier: EUPL-1.2 */
/*
 * base/defer.h: owned locals are released by scope.
 *
 *     defer(buf_done) struct buf page = {0};        calls buf_done(&page) when the scope ends
 *     defer_ptr(node_free) struct node *node = …;   calls node_free(node)
 */
#ifndef ESSAIM_BASE_DEFER_H
#define ESSAIM_BASE_DEFER_H

/* `done` takes a pointer to the variable. */
#define defer(done) __attribute__((cleanup(done)))

/* Defines the helper that defer_ptr(name) needs, for `void name(type *)`. One per type and file. */
#define DEFER_PTR_DEFINE(type, name)                                                               \
    static inline void name##_deferred(type **owned)                                               \
    {                                                                                              \
        name(*owned);                                                                              \
    }
#define defer_ptr(name) __attribute__((cleanup(name##_deferred)))

/* Hands over an owned pointer and empties the variable: `effect->bytes = take(&page);` */
#define take(owned)                                                                                \
    (__extension__({                                                                               \
        __typeof__(*(owned)) taken_ = *(owned);                                                    \
        *(owned) = NULL;                                                                           \
        taken_;                                                                                    \
    }))

#endif
