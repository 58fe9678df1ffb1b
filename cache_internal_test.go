package affinity

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/digest"
	"github.com/go-affinity/affinity/internal/registry"
	"github.com/go-affinity/affinity/internal/table"
)

// Targets have numbers of 24 bits. When those run out, bindings make room.
func TestTargetsBeyondAllNumbers(t *testing.T) {
	t.Parallel()
	c, err := NewCache(CacheConfig{Capacity: 1000})
	require.NoError(t, err)
	c.targets = registry.New(7)
	c.table = table.New(1000, int64(leaseLimit), c.targets)
	for i := range 200 {
		k, target := c.Key(fmt.Sprint(i)), fmt.Sprint("target ", i)
		require.Equal(t, target, c.Set(k, target).Target)
		b, ok := c.Get(k)
		require.True(t, ok)
		require.Equal(t, target, b.Target)
		require.LessOrEqual(t, len(c.Counts()), 8)
	}
}

func TestNoPartOfAKeyIsZero(t *testing.T) {
	t.Parallel()
	for _, sum := range []digest.Sum{{}, {Hi: 5, Lo: 5}, {Hi: 5, Lo: 5 ^ math.MaxUint64}, {Hi: math.MaxUint64}, {Lo: 1}} {
		k := keyOf(sum)
		require.NotZero(t, k.k.Lo)
		require.NotZero(t, k.aside().k.Lo)
		require.NotEqual(t, k, k.aside())
		require.Equal(t, k, k.aside().aside())
	}
}
