/* Four objects in one program: two models, one of them three times over. */
#include "mine.h"
#include "other.h"
#include "points.h"
#include "yours.h"
#include <assert.h>
#include <stdlib.h>

int main(void)
{
    other *a = other_init(aligned_alloc(64, 1 << 16), 3);
    mine *b = mine_init(aligned_alloc(64, 1 << 16), 3);
    yours *c = yours_init(aligned_alloc(64, 1 << 16), 3);
    points *p = points_init(aligned_alloc(64, 1 << 16), 3);
    float x[5] = {1, 2, 3, 4, 5}, y = 2;
    unsigned char one = 1;
    for (int i = 0; i < 10; i++) {
        float loss = other_step(a, x, &y, 1);
        assert(loss == mine_step(b, x, &y, 1) && loss == yours_step(c, x, &y, 1));
        assert(points_step(p, x, &one, &one, 1) > 0);
    }
    assert(other_model.train->batch == 8 && points_model.train->batch == 16);
    free(a);
    free(b);
    free(c);
    free(p);
    return 0;
}
