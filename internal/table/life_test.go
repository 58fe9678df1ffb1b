package table

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// What stands in the word below the expiry makes no difference to whether that is later.
func TestBeyond(t *testing.T) {
	for _, expires := range []int64{1, 2, 1 << 40, never - 1, math.MaxInt64} {
		for leases := range MaxLeases + 1 {
			for _, l := range []life{lifeOf(expires, leases), lifeOf(expires, leases) | confirmed} {
				for _, now := range []int64{0, 1, 2, 3, 1<<40 - 1, 1 << 40, never - 2, never - 1} {
					require.Equal(t, now < l.expires(), l.beyond(now), "%d of %d", now, expires)
				}
			}
		}
	}
	require.False(t, life(0).beyond(0))
}

// A gap below 0 is none: a use at the same instant is near.
func TestTouchedWithNegativeGap(t *testing.T) {
	l := lifeOf(10, plenty)
	require.Equal(t, l, l.touched(10, -5, true))
	require.Equal(t, lifeOf(11, plenty+1), l.touched(11, -5, true))
}
