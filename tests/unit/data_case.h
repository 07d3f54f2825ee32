/* What tests of data sources share: files, opening a set, rows as a trainer is given them. */
#ifndef DATA_CASE_H
#define DATA_CASE_H

#include "data/data.h"

#include <stdlib.h>
#include <string.h>

static Error error;

static inline void put_file(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

typedef struct Case {
    const char *kind;
    const gradc_port *ports;
    int port_count;
    const gradc_option *options;
    int option_count;
    const Encoding *known;
    bool predicting;
} Case;

static inline bool open_case(Dataset *d, const Case *c)
{
    const gradc_source s = {c->kind, c->options, c->option_count, NULL};
    const Request r = {&s, c->ports, c->port_count, NULL, c->known, c->predicting, false};
    error_clear(&error);
    return dataset_open(d, &r, &error);
}

static inline void expect_error(const Case *c, const char *message)
{
    Dataset d;
    assert_false(open_case(&d, c));
    if (!strstr(error.text, message))
        fail_msg("\"%s\" lacks \"%s\"", error.text, message);
    error_clear(&error);
}

/* One digit a value. */
static inline void expect_row(const Dataset *d, int port, size_t row, const char *values)
{
    const gradc_port *p = &d->ports[port];
    uint32_t order = (uint32_t)row;
    const View view = {d, &order, 1};
    Batch b;
    batch_create(&b, d->ports, d->port_count, 1);
    assert_true(batch_gather(&b, &view, 0, 1, &error));
    for (uint64_t i = 0; i < p->count; i++)
        assert_int_equal((int)number_get(p->type, b.rows[port] + i * raw_size(p->type)),
                         values[i] - '0');
    batch_destroy(&b);
}

#endif
