/* Words onto classes: the distinct words of a column, sorted by their bytes, are 0, 1, 2, …
 * Sorted order does not depend on the order of rows, so shuffled copies of a file agree. */
#include "data.h"

#include <stdlib.h>
#include <string.h>

static int compare_cells(const void *a, const void *b)
{
    const Cell *x = *(const Cell *const *)a, *y = *(const Cell *const *)b;
    uint32_t n = x->length < y->length ? x->length : y->length;
    int order = memcmp(x->text, y->text, n);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* Not a missing value, and not a number: those stand for themselves. */
static bool is_word(const Cell *c)
{
    double v;
    return c->length && !cell_number(c, &v);
}

void categories_collect(Names *names, const Csv *csv, size_t first_row, const int *columns,
                        size_t count)
{
    size_t total = 0;
    bool words = false;
    const Cell **cells = memory_get((csv->rows - first_row) * count, sizeof *cells);
    for (size_t row = first_row; row < csv->rows; row++)
        for (size_t i = 0; i < count; i++) {
            const Cell *c = &csv->cells[row * csv->columns + (size_t)columns[i]];
            words |= is_word(c);
            if (c->length)
                cells[total++] = c;
        }
    *names = (Names){0};
    if (words && total) {
        qsort(cells, total, sizeof *cells, compare_cells);
        size_t distinct = 0;
        for (size_t i = 0; i < total; i++)
            if (i == 0 || compare_cells(&cells[i - 1], &cells[i]) != 0)
                distinct++;
        names->items = memory_get(distinct, sizeof *names->items);
        for (size_t i = 0; i < total; i++)
            if (i == 0 || compare_cells(&cells[i - 1], &cells[i]) != 0)
                names->items[names->count++] = text_copy(cells[i]->text, cells[i]->length);
    }
    free(cells);
}

int categories_find(const Names *names, const char *text, size_t length)
{
    int low = 0, high = names->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        const char *item = names->items[middle];
        size_t n = strlen(item);
        int order = memcmp(text, item, n < length ? n : length);
        if (order == 0)
            order = (length > n) - (length < n);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

void categories_copy(Names *to, const Names *from)
{
    *to = (Names){memory_get((size_t)from->count, sizeof *to->items), from->count};
    for (int i = 0; i < from->count; i++)
        to->items[i] = text_copy(from->items[i], strlen(from->items[i]));
}
