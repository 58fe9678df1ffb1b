package main

import (
	"context"
	"fmt"
	"net/http"
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
	c := newCallers(pick(s, 1<<19, 1<<17))
	all := targetsOf(16)
	homes, others := all[:8], all[8:]
	fallback := balance.RoundRobin[*plain.Target]()
	full := newSelector(affinity.Config[*plain.Target]{Capacity: 1 << 16})
	next := 0
	// first selects for sessions that the full table does not have, or has put out again.
	first := func(body []byte) func(n int) {
		return func(n int) {
			for range n {
				c.selects(full, next%len(c.ids), body, homes, affinity.ReasonNew)
				next++
			}
		}
	}
	first(nil)(len(c.ids))
	body := bodies.Agent(256<<10, 1, "", "")
	var growing *affinity.Selector[*plain.Target]
	var plainly *plain.Selector
	g.Races = []result.Race{s.track.Race("one request",
		lap.Contender{
			Name: rowGrowing, Max: len(c.ids),
			Before: func() { growing = newSelector(affinity.Config[*plain.Target]{}) },
			Do: func(n int) {
				for i := range n {
					c.selects(growing, i, nil, homes, affinity.ReasonNew)
				}
			},
		},
		lap.Contender{Name: rowFull, Do: first(nil)},
		lap.Contender{Name: rowFailover, Do: c.failovers(homes, others, nil)},
		lap.Contender{Name: rowFallback, Do: func(n int) {
			for range n {
				_, err := fallback.Pick(context.Background(), &c.req, homes)
				must(err)
			}
		}},
		lap.Contender{Name: rowBody, Do: c.failovers(homes, others, body)},
		lap.Contender{Name: rowNewSmall, Do: first(bodies.Agent(2<<10, 1, "", ""))},
		lap.Contender{Name: rowNewLarge, Do: first(body)},
		lap.Contender{
			Name: "plain, first bind", Max: len(c.ids),
			Before: func() {
				m := plain.NewMap(time.Hour)
				plainly = &plain.Selector{Get: m.Get, Set: m.Set}
			},
			Do: func(n int) {
				for i := range n {
					_, err := plainly.Select(c.anew(i, nil).Header, nil, homes)
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

// callers make requests of many sessions. These share their headers and the Request, in which
// only the id changes: a request that has just come in is in the processor's cache, too.
type callers struct {
	ids     []string
	headers http.Header
	id      []string // in headers
	req     extract.Request
}

func newCallers(n int) *callers {
	h := headersOf("X-Session-Id", "")
	return &callers{ids: peers.Uniform(n), headers: h, id: h["X-Session-Id"]}
}

// anew returns a Request of session i that has read nothing yet.
func (c *callers) anew(i int, body []byte) *extract.Request {
	c.id[0] = c.ids[i]
	remake(&c.req, c.headers, body, openAI)
	return &c.req
}

// selects selects for session i, and panics if that is for another reason.
func (c *callers) selects(sel *affinity.Selector[*plain.Target], i int, body []byte, candidates []*plain.Target, reason affinity.Reason) {
	choice, err := sel.Select(context.Background(), c.anew(i, body), candidates)
	if err != nil || choice.Reason != reason {
		panic(fmt.Sprint("want ", reason, ", have ", choice.Reason, err))
	}
}

// failovers returns what selects for a thousand sessions by turns, which are bound to homes, among
// others, and then among homes: every request is a failover.
func (c *callers) failovers(homes, others []*plain.Target, body []byte) func(n int) {
	sel := newSelector(affinity.Config[*plain.Target]{})
	for i := range 1000 {
		c.selects(sel, i, nil, homes, affinity.ReasonNew)
	}
	turn := 0
	return func(n int) {
		for range n {
			candidates := others
			if turn/1000%2 == 1 {
				candidates = homes
			}
			c.selects(sel, turn%1000, body, candidates, affinity.ReasonFailover)
			turn++
		}
	}
}
