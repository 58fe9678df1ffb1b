package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/bench/internal/plain"
	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
	"github.com/go-affinity/affinity/extract"
)

// scaling measures how much more two goroutines do than one.
func scaling(s *setting) (result.Group, error) {
	g := result.Group{
		Title: "two goroutines beside one, on hits",
		Notes: []string{
			"ns is wall time by the operations of all. The control hashes a string that each goroutine has to itself: more than it gains with two processors, nobody can.",
			"Select gets the same Requests over and over.",
		},
	}
	targets := targetsOf(8)
	track := s.track
	track.Rounds *= 2
	for _, way := range []struct {
		name string
		make func(hot bool) func(thread, n int)
	}{
		{"Selector.Select", func(hot bool) func(thread, n int) {
			return selectHits(newSelector(affinity.Config[*plain.Target]{}), targets, hot)
		}},
		{"Cache.Get", func(hot bool) func(thread, n int) { return tableHits(peers.Ours, hot) }},
		{"plain, its map alone", func(hot bool) func(thread, n int) { return tableHits(peers.Plain, hot) }},
	} {
		var contenders []lap.Contender
		for _, c := range []struct {
			what string
			do   func(thread, n int)
		}{
			{"different sessions", way.make(false)},
			{"one hot session", way.make(true)},
			{"control", control},
		} {
			for threads := 1; threads <= 2; threads++ {
				contenders = append(contenders, lap.Contender{Name: scaleRow(c.what, threads), Do: lap.Threads(threads, c.do)})
			}
		}
		g.Races = append(g.Races, track.Race(way.name, contenders...))
	}
	for _, race := range g.Races[:2] {
		for _, what := range []string{"different sessions", "one hot session"} {
			gain, note := gainOf(race, what)
			g.AtLeast(race.Name+", "+scaleRow(what, 2), gain, 1.7, "x", note)
		}
	}
	return g, nil
}

// freeGain is the least gain of the control by which a round counts: with less,
// something else kept one of the processors busy.
const freeGain = 1.85

// gainOf returns how many times the work of one goroutine two goroutines have
// done, over the rounds in which the control had two processors, or over all if
// there were fewer than three such rounds. The note says which.
func gainOf(race result.Race, what string) (result.Spread, string) {
	gains := func(what string) []float64 {
		return result.Pairwise(race.Row(scaleRow(what, 1)).Samples, race.Row(scaleRow(what, 2)).Samples, func(one, two float64) float64 { return one / two })
	}
	all, control := gains(what), gains("control")
	var free []float64
	for i, gain := range control {
		if gain > freeGain {
			free = append(free, all[i])
		}
	}
	if len(free) < 3 {
		return result.SpreadOf(all), "others used the processors, so this says nothing: the control, which shares nothing, gained " + result.SpreadOf(control).String() + " x"
	}
	return result.SpreadOf(free), fmt.Sprintf("in the %d rounds of %d that had both processors, by the control", len(free), len(all))
}

// scaleRow names the row of so many goroutines that do the same.
func scaleRow(what string, threads int) string { return fmt.Sprintf("%s, %d at once", what, threads) }

// selectHits selects for requests of bound sessions: 64 for each goroutine, or
// the same one in all. Requests and headers are each goroutine's own.
func selectHits(sel *affinity.Selector[*plain.Target], targets []*plain.Target, hot bool) func(thread, n int) {
	ctx := context.Background()
	var reqs [2][]extract.Request
	for thread := range reqs {
		reqs[thread] = requestsOf("X-Session-Id", openAI, nil)
		for i := range reqs[thread] {
			req := &reqs[thread][i]
			id := peers.Key(1000*thread + i)
			if hot {
				id = peers.Key(0)
			}
			req.Header["X-Session-Id"] = []string{id}
			_, err := sel.Select(ctx, req, targets)
			must(err)
		}
	}
	return func(thread, n int) {
		for i := range n {
			choice, err := sel.Select(ctx, &reqs[thread][i%sessionsAtOnce], targets)
			if err != nil || choice.Reason != affinity.ReasonBound {
				panic("not bound")
			}
		}
	}
}

// tableHits looks up keys in a table: a thousand for each goroutine, or one.
func tableHits(name string, hot bool) func(thread, n int) {
	kind, _ := peers.KindOf(name)
	t := kind.New(10_000, time.Hour)
	var keys [2][]string
	for i := range 2000 {
		t.Set(peers.Key(i), manyTargets[0])
		key := peers.Key(i)
		if hot {
			key = peers.Key(0)
		}
		keys[i/1000] = append(keys[i/1000], key)
	}
	return func(thread, n int) {
		for n > 0 {
			some := keys[thread][:min(n, 1000)]
			if t.Lookup(some) != len(some) {
				panic("not found")
			}
			n -= len(some)
		}
	}
}

// control hashes a string of its own: work that shares nothing with other
// goroutines.
func control(thread, n int) {
	key := peers.Key(thread)
	var sum uint64
	for range n {
		sum += xxhash.Sum64String(key)
	}
	if sum == 1 {
		panic("what a chance")
	}
}
