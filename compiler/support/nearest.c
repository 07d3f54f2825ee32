/* The candidate nearest to a misspelt name, for "did you mean". */
#include "support/support.h"

#include <string.h>

enum { LONGEST = 64, MAX_DISTANCE = 3 };

static int least(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Damerau-Levenshtein in its restricted form: insert, delete, replace, swap neighbours. */
static int edit_distance(const char *a, int n, const char *b, int m)
{
    int d[LONGEST + 1][LONGEST + 1];
    for (int i = 0; i <= n; i++)
        d[i][0] = i;
    for (int j = 0; j <= m; j++)
        d[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            d[i][j] =
                least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[n][m];
}

const char *diag_nearest(const char *name, const char *const *candidates, int count)
{
    int n = (int)strlen(name);
    if (n > LONGEST)
        return NULL;
    int limit = n / 3 < 1 ? 1 : n / 3 > MAX_DISTANCE ? MAX_DISTANCE : n / 3;
    if (limit >= n)
        limit = n - 1; /* something of the name must remain */
    const char *best = NULL;
    for (int i = 0; i < count; i++) {
        int m = (int)strlen(candidates[i]);
        if (m > LONGEST || m - n > limit || n - m > limit)
            continue;
        int distance = edit_distance(name, n, candidates[i], m);
        if (distance > limit)
            continue;
        best = candidates[i];
        limit = distance - 1; /* the first of the nearest wins */
    }
    return best;
}
