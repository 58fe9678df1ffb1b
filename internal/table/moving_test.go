package table_test

import (
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-affinity/affinity/internal/table"
)

// A reader that finds nothing while records move looks until they have moved.
func TestGetWhileItMoves(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that Gosched lets the reader go on as far as it can
	tab, k := table.New(400, limit, immortal{}), awkward(0)
	tab.Put(k, 0, table.Record{Expires: 1000}, 1)
	found := make(chan bool, 1)
	tab.WhileItMoves(k, func() {
		go func() {
			_, ok := tab.Get(k, 1)
			found <- ok
		}()
		for range 1000 {
			runtime.Gosched()
		}
	})
	require.True(t, <-found)

	// One that comes in between can tell that they have moved.
	tab.Put(awkward(4), 0, table.Record{Expires: 1000}, 1)
	seq := tab.Seq(k)
	tab.Delete(k, table.Any, 1)
	require.Equal(t, seq+2, tab.Seq(k))
}

// movements is how often records move before a reader: less often under the race detector,
// which has nothing to find here, since a reader's accesses are all atomic.
func movements(n int) int {
	if raceEnabled {
		n /= 5
	}
	return steps(n)
}

// whileItMoves runs a reader beside a writer who takes away, one by one, the records
// between a key and its home, so that its own moves back step by step.
func whileItMoves(others int, limit int64, r table.Record, read func(tab *table.Table, k table.Key)) *table.Table {
	tab := table.New(400, limit, immortal{})
	for i := range others {
		tab.Put(awkward(4*i), 0, table.Record{Expires: 1000}, 1)
	}
	k := awkward(4 * others)
	tab.Put(k, 0, r, 1)
	var done atomic.Bool
	together(func(*rand.Rand) {
		defer done.Store(true)
		for i := range others {
			tab.Delete(awkward(4*(others-1-i)), table.Any, 1)
		}
	}, func(*rand.Rand) {
		for !done.Load() {
			read(tab, k)
		}
	})
	return tab
}

// A record that moves is found all the time, also one that lives by its leases: Get looks
// for that only once where nothing moves.
func TestReadersFindWhatMoves(t *testing.T) {
	for i := range movements(4000) {
		r := table.Record{Expires: int64(1 + i%2*1000), Leases: 1}
		whileItMoves(40, limit, r, func(tab *table.Table, k table.Key) {
			if _, _, ok := tab.Look(k, 1); !ok {
				t.Error("it was not found")
			}
		})
		if t.Failed() {
			return
		}
	}
}

// A lease that is taken while the record moves is had once, and known to be had.
func TestLeasesOfWhatMoves(t *testing.T) {
	for range movements(2000) {
		var at table.Key
		leases, expires := 0, int64(2000)
		tab := whileItMoves(120, 1<<40, table.Record{Expires: 1000}, func(tab *table.Table, k table.Key) {
			at = k
			_, f, ok := tab.Look(k, 1)
			if !ok {
				t.Error("it was not found")
				return
			}
			expires++
			if _, leased := tab.Touch(k, f, expires, 0, true); leased {
				leases++
			}
			if leases == 20 {
				tab.End(k, f, true, 0, 0, 1)
				leases--
			}
		})
		if at == (table.Key{}) { // nobody came to read
			continue
		}
		f, ok := tab.Get(at, 1)
		require.True(t, ok)
		require.Equal(t, leases, f.Leases())
	}
}
