package census_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/census"
	"github.com/go-affinity/affinity/internal/table"
)

func TestEstimates(t *testing.T) {
	var c census.Census
	random := rand.New(rand.NewPCG(1, 2))
	k, other := table.Key{Lo: 1}, table.Key{Lo: 2}
	require.Equal(t, 1, c.See(other, 7))
	hashes := make([]uint64, 0, 300)
	for n := 1; n <= 300; n++ {
		hashes = append(hashes, random.Uint64())
		estimate := c.See(k, hashes[n-1])
		switch {
		case n <= 100:
			require.InDelta(t, n, estimate, 2+0.35*float64(n))
		case n == 300:
			require.Greater(t, estimate, 150)
		}
		require.Equal(t, estimate, c.See(k, hashes[random.IntN(n)]), "what was seen is not counted again")
		require.Equal(t, estimate, c.Seen(k))
		has, ok := c.Has(k, hashes[n-1])
		require.True(t, ok)
		require.Equal(t, estimate, has)
	}
	require.Equal(t, 1, c.See(other, 7))
	require.Zero(t, c.Seen(table.Key{Lo: 3}))
	for _, hash := range []uint64{6, 8} {
		has, ok := c.Has(other, hash)
		require.False(t, ok)
		require.Equal(t, 1, has)
	}
}

func TestIsBounded(t *testing.T) {
	var c census.Census
	for i := range uint64(3*census.Most + 7) {
		require.Equal(t, 1, c.See(table.Key{Lo: i + 1}, i))
	}
	c.See(table.Key{Lo: 3 * census.Most}, 1)
	require.Equal(t, census.Most, c.Watched(), "what is known takes nobody's place")
}

// A flood of keys that have hardly anything in common does not make it forget one that has.
func TestRemembersWhatIsCommon(t *testing.T) {
	var c census.Census
	common := table.Key{Lo: 1, Hi: 1}
	for i := range uint64(64) {
		c.See(common, i)
	}
	for i := range uint64(20 * census.Most) {
		c.See(table.Key{Lo: i}, i)
	}
	require.Greater(t, c.Seen(common), 300)
}
