/* tests/sim/random.c - splitmix64: small, and good from any seed. */
#include "tests/sim/disk.h"

uint64_t sim_random_next(sim_random *random)
{
    random->state += 0x9e3779b97f4a7c15u;
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_random_below(sim_random *random, uint64_t bound)
{
    uint64_t next = sim_random_next(random);
    return bound == 0 ? 0 : next % bound;
}

bool sim_random_chance(sim_random *random, uint32_t one_in)
{
    return sim_random_below(random, one_in) == 0;
}
