package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

// manyTargets are what sessions are bound to, by turns.
var manyTargets = []string{"t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"}

// room is the capacity of a table for n sessions: a little more, since some
// tables divide their capacity among shards, which fill unevenly.
func room(n int) int { return n + n/16 + 1000 }

// slowToFill are left out where there are millions of sessions: they would take
// longer to fill, and their garbage to collect, than all else to measure.
var slowToFill = []string{"ttlcache", "golang-lru expirable", "sync.Map + expiry", "xsync.Map + expiry"}

// rowNews is our table where the writes are of sessions that were not there before. As
// long as such come in, it writes down every use of the others, lest it evict what is in
// use; else it may let a minute pass.
const rowNews = "affinity, new sessions come in"

// table measures tables of bindings by what a gateway does with them all day: hits
// that make an expiry slide, and some writes.
func table(s *setting) (result.Group, error) {
	g := result.Group{
		Title: "the table of bindings: 99 % hits that refresh, 1 % writes, two goroutines",
		Notes: []string{
			"ns is wall time by the operations of both. The ids are strings that are there already, and at hand: each in the cache line behind that of the one before.",
			"The ids that tables keep are copies, as if each came with a request of its own. All have been used once before it begins. Before each slice, half as much is done off the clock, to warm the caches.",
			"The writes are of sessions that are there, but for a second table of ours: there they are new ones, and it is full.",
			"Garbage collection is off while it is measured, to the benefit of all that hold pointers.",
		},
	}
	for _, k := range peers.Kinds {
		if k.Lacks != "" {
			g.Notes = append(g.Notes, k.Name+": "+k.Lacks+".")
		}
	}
	track := s.track
	track.Slice *= pick[time.Duration](s, 3, 2)
	track.Rounds = min(track.Rounds, 15)
	for _, n := range pick(s, []int{1_000, 100_000, 1_000_000, 5_000_000}, []int{1_000, 100_000}) {
		kinds := slices.DeleteFunc(slices.Clone(peers.Kinds), func(k peers.Kind) bool {
			return n > 1_000_000 && slices.Contains(slowToFill, k.Name)
		})
		races, notes := raceTables(s, track, n, kinds)
		g.Races = append(g.Races, races...)
		g.Notes = append(g.Notes, notes...)
		limit := 0.6
		if n == 1_000 {
			limit = 1.3
		}
		uniform := races[0]
		for _, row := range []string{peers.Ours, rowNews} {
			ours, which := uniform.Row(row), uniform.Name+strings.TrimPrefix(row, peers.Ours)
			g.AtMost("our time over xsync.Map.Load's, "+which, result.Ratio(ours, uniform.Row(peers.Load)), limit, "x", "")
			g.AtMost("our time over the bare yardstick's, "+which, result.Ratio(ours, uniform.Row(peers.Yardstick)), 3, "x", "")
		}
	}
	return g, nil
}

// raceTables measures tables of n sessions, of which the first kind is ours, in a race for
// each of two distributions of keys: uniform, which comes first, and zipf. The notes name
// tables that have forgotten some of the sessions.
func raceTables(s *setting, track lap.Track, n int, kinds []peers.Kind) (races []result.Race, notes []string) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(10 << 30)) // collects early, when there is more than that
	s.say("%s sessions: making their ids", thousands(n))
	uniform, zipf := peers.Uniform(n), peers.Zipf(n)
	stored := peers.Keys(n)
	kinds = slices.Insert(kinds, 1, peers.Kind{Name: rowNews, New: kinds[0].New})
	news := []int{n, n + 1<<30} // the last new session of each goroutine
	var tables []peers.Table
	for _, k := range kinds {
		s.say("%s sessions: filling %s", thousands(n), k.Name)
		t := k.New(room(n), time.Hour)
		defer t.Close()
		for i, key := range stored {
			t.Set(key, manyTargets[i%len(manyTargets)])
		}
		tables = append(tables, t)
		some := uniform[:20_000]
		if found := float64(t.Lookup(some)) / float64(len(some)); found < 0.999 {
			notes = append(notes, fmt.Sprintf("%s found only %.1f %% of %s sessions.", k.Name, 100*found, thousands(n)))
		}
	}
	for i, k := range kinds {
		s.say("%s sessions: using %s", thousands(n), k.Name)
		tables[i].Lookup(stored)
	}
	s.say("%s sessions: collecting garbage", thousands(n))
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, keys := range []struct {
		name string
		list []string
	}{
		{thousands(n) + " sessions", uniform},
		{thousands(n) + " sessions, zipf", zipf},
	} {
		var contenders []lap.Contender
		for i, k := range kinds {
			walks := []*peers.Walk{peers.NewWalk(keys.list, 0), peers.NewWalk(keys.list, 1)}
			contenders = append(contenders, lap.Contender{Name: k.Name, Warm: true, Do: lap.Threads(2, func(thread, ops int) {
				mixed(tables[i], walks[thread], ops, func(key string) string {
					if k.Name != rowNews {
						return strings.Clone(key)
					}
					news[thread]++
					return peers.Key(news[thread])
				})
			})})
		}
		races = append(races, track.Race(keys.name, contenders...))
	}
	return races, notes
}

// mixed does ops operations with the keys of w, of which 99 of a hundred are
// lookups and one is a write, of what written makes of the key.
func mixed(t peers.Table, w *peers.Walk, ops int, written func(key string) string) {
	for ops > 0 {
		some := w.Next(min(ops, 100))
		ops -= len(some)
		last := len(some) - 1
		t.Lookup(some[:last])
		t.Set(written(some[last]), manyTargets[ops%len(manyTargets)])
	}
}

// thousands writes a number of sessions, which is whole thousands: 100k, 5M.
func thousands(n int) string {
	if n%1_000_000 == 0 {
		return fmt.Sprintf("%dM", n/1_000_000)
	}
	return fmt.Sprintf("%dk", n/1_000)
}
