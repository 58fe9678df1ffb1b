package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLeastWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p leastWork
		list := []*upstream{{name: "a"}, {name: "b"}, {name: "c"}}
		picks := func(n int) (names []string) {
			for range n {
				u, err := p.Pick(t.Context(), nil, list)
				require.NoError(t, err)
				names = append(names, u.name)
			}
			return names
		}
		require.Equal(t, []string{"a", "b", "c", "a", "b", "c"}, picks(6), "in turn among equals")
		for range 8 {
			p.sent(list[0])
		}
		require.Equal(t, []string{"b", "c", "b", "c"}, picks(4), "not where the work went")
		for range 6 {
			p.sent(list[1])
			p.sent(list[2])
		}
		slices.Reverse(list)
		require.Equal(t, []string{"a"}, picks(1), "as much work everywhere, but the fewest picks")

		<-time.After(halfLife)
		require.InDelta(t, 5, list[0].work.now(time.Now()), 1e-6)
		<-time.After(40 * halfLife)
		three := picks(3)
		slices.Sort(three)
		require.Equal(t, []string{"a", "b", "c"}, three, "forgotten")

		_, err := p.Pick(t.Context(), nil, nil)
		require.Error(t, err)
	})
}
