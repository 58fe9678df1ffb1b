package main

import (
	"context"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/bench/internal/plain"
	"github.com/go-affinity/affinity/bench/speed/internal/bodies"
	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
	"github.com/go-affinity/affinity/extract"
)

// cold measures requests that the fallback has to place: the first one of a
// session, and one whose home is gone.
func cold(s *setting) (result.Group, error) {
	const (
		rowFallback = "the fallback alone"
		rowGrowing  = "first bind, in a table that grows"
		rowFull     = "first bind, in a full table"
		rowFailover = "failover"
		rowBody     = "failover, 256 kB of body"
		rowNewSmall = "first bind, 2 kB of body"
		rowNewLarge = "first bind, 256 kB of body"
	)
	g := result.Group{
		Title: "first bind and failover, by an id in a header, 8 candidates",
		Notes: []string{
			"The fallback is round robin. The full table holds 65,536 sessions, each bind putting another one out; plain never puts any out.",
			"A body of up to 16 kB is read before it binds, to see whether the request is a side call; plain does not ask.",
		},
	}
	// All requests share their headers and the Request, in which only the id
	// changes: a request that has just come in is in the processor's cache, too.
	ids := peers.Uniform(pick(s, 1<<19, 1<<17))
	headers := headersOf("X-Session-Id", "")
	id := headers["X-Session-Id"]
	req := new(extract.Request)
	// anew returns a Request of session i that has read nothing yet.
	anew := func(i int, body []byte) *extract.Request {
		id[0] = ids[i]
		remake(req, headers, body, openAI)
		return req
	}
	ctx := context.Background()
	all := targetsOf(16)
	homes, others := all[:8], all[8:]
	fallback := balance.RoundRobin[*plain.Target]()

	growing := newSelector(affinity.Config[*plain.Target]{})
	full := newSelector(affinity.Config[*plain.Target]{Capacity: 1 << 16})
	for i := range ids {
		_, err := full.Select(ctx, anew(i, nil), homes)
		must(err)
	}
	expect := func(sel *affinity.Selection[*plain.Target], err error, reason affinity.Reason) {
		must(err)
		if sel.Reason != reason {
			panic("want " + reason.String() + ", have " + sel.Reason.String())
		}
	}
	body := bodies.Agent(256<<10, 1, "", "")
	// failover returns what selects for a thousand bound sessions by turns, among
	// the eight candidates to which none of them is bound, and then among the
	// others: every request is a failover.
	failover := func(body []byte) func(n int) {
		failing := newSelector(affinity.Config[*plain.Target]{})
		for i := range 1000 {
			_, err := failing.Select(ctx, anew(i, nil), homes)
			must(err)
		}
		turn := 0
		return func(n int) {
			for range n {
				candidates := others
				if turn/1000%2 == 1 {
					candidates = homes
				}
				sel, err := failing.Select(ctx, anew(turn%1000, body), candidates)
				expect(&sel, err, affinity.ReasonFailover)
				turn++
			}
		}
	}
	// first returns what selects for sessions that the full table has put out again.
	next := 0
	first := func(body []byte) func(n int) {
		return func(n int) {
			for range n {
				sel, err := full.Select(ctx, anew(next%len(ids), body), homes)
				expect(&sel, err, affinity.ReasonNew)
				next++
			}
		}
	}
	var plainly *plain.Selector
	g.Races = []result.Race{s.track.Race("one request",
		lap.Contender{
			Name: rowGrowing, Max: len(ids),
			Before: func() { growing = newSelector(affinity.Config[*plain.Target]{}) },
			Do: func(n int) {
				for i := range n {
					sel, err := growing.Select(ctx, anew(i, nil), homes)
					expect(&sel, err, affinity.ReasonNew)
				}
			},
		},
		lap.Contender{Name: rowFull, Do: first(nil)},
		lap.Contender{Name: rowFailover, Do: failover(nil)},
		lap.Contender{Name: rowFallback, Do: func(n int) {
			for range n {
				_, err := fallback.Pick(ctx, req, homes)
				must(err)
			}
		}},
		lap.Contender{Name: rowBody, Do: failover(body)},
		lap.Contender{Name: rowNewSmall, Do: first(bodies.Agent(2<<10, 1, "", ""))},
		lap.Contender{Name: rowNewLarge, Do: first(body)},
		lap.Contender{
			Name: "plain, first bind", Max: len(ids),
			Before: func() {
				m := plain.NewMap(time.Hour)
				plainly = &plain.Selector{Get: m.Get, Set: m.Set}
			},
			Do: func(n int) {
				for i := range n {
					_, err := plainly.Select(anew(i, nil).Header, nil, homes)
					must(err)
				}
			},
		},
	)}
	race := g.Races[0]
	for _, row := range []string{rowGrowing, rowFull, rowFailover, rowBody, rowNewSmall, rowNewLarge} {
		g.AtMost(row+", beside the fallback", result.Difference(race.Row(row), race.Row(rowFallback)), 1000, "ns", "")
	}
	return g, nil
}
