package flight_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/flight"
	"github.com/go-affinity/affinity/internal/table"
)

func TestOthersWaitForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flight.Group
		k, same := table.Key{Lo: 1}, table.Key{Lo: 65} // of one list
		_, first := g.Join(k)
		require.True(t, first)
		_, first = g.Join(same)
		require.True(t, first, "another key")
		_, first = g.Join(table.Key{Hi: 1, Lo: 1})
		require.True(t, first, "another key")

		var done atomic.Int32
		for range 10 {
			go func() {
				wait, first := g.Join(k)
				if !first {
					<-wait
					done.Add(1)
				}
			}()
		}
		synctest.Wait()
		require.Zero(t, done.Load())
		g.Leave(same)
		synctest.Wait()
		require.Zero(t, done.Load())
		g.Leave(k)
		synctest.Wait()
		require.EqualValues(t, 10, done.Load())
		_, first = g.Join(k)
		require.True(t, first, "it is over")
	})
}

// There is never more than one at a key.
func TestParallel(t *testing.T) {
	var g flight.Group
	var at [6]atomic.Int32
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				n := (w*i + i) % len(at)
				k := table.Key{Lo: uint64(n * 32)}
				wait, first := g.Join(k)
				if !first {
					<-wait
					continue
				}
				if at[n].Add(1) != 1 {
					t.Error("two at once")
				}
				at[n].Add(-1)
				g.Leave(k)
			}
		})
	}
	wg.Wait()
}

func TestDoesNotAllocate(t *testing.T) {
	var g flight.Group
	k := table.Key{Lo: 1}
	g.Join(k)
	g.Leave(k)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		g.Join(k)
		g.Leave(k)
	}))
}
