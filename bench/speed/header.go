package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/bench/internal/plain"
	"github.com/go-affinity/affinity/bench/speed/internal/bodies"
	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/peers"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
	"github.com/go-affinity/affinity/extract"
)

// Rows of the header group.
const (
	rowDone      = "affinity with Done"
	rowClaude    = "affinity, Claude Code's header"
	rowAnthropic = "affinity, to /v1/messages"
)

// Rows that several groups have.
const (
	rowOurs  = "affinity"
	rowPlain = "plain"
	rowLoad  = "xsync.Map.Load"
)

// targetsOf returns n candidates.
func targetsOf(n int) []*plain.Target {
	list := make([]*plain.Target, n)
	for i := range list {
		list[i] = &plain.Target{Name: fmt.Sprintf("account-%03d", i)}
	}
	return list
}

// headersOf returns the headers of a request, 14 in all, one of which is name with
// the value id.
func headersOf(name, id string) http.Header {
	return http.Header{
		"Accept":                      {"application/json"},
		"Accept-Encoding":             {"gzip, deflate, br"},
		"Authorization":               {"Bearer sk-0123456789abcdef0123456789abcdef"},
		"Content-Length":              {"204800"},
		"Content-Type":                {"application/json"},
		"User-Agent":                  {"agent/2.1.197 (external, cli)"},
		"X-App":                       {"cli"},
		"X-Stainless-Arch":            {"x64"},
		"X-Stainless-Lang":            {"js"},
		"X-Stainless-Os":              {"Linux"},
		"X-Stainless-Package-Version": {"0.90.0"},
		"X-Stainless-Retry-Count":     {"0"},
		"X-Stainless-Runtime":         {"node"},
		name:                          {id},
	}
}

// Paths of APIs.
const (
	openAI    = "/v1/chat/completions"
	anthropic = "/v1/messages"
)

// sessionsAtOnce is how many sessions take turns where hits are measured.
const sessionsAtOnce = 64

// requestsOf returns a request for each of sessionsAtOnce sessions, whose id is in
// the header of that name. All have the same body.
func requestsOf(header, path string, body []byte) []extract.Request {
	reqs := make([]extract.Request, sessionsAtOnce)
	for i := range reqs {
		h := headersOf(header, peers.Key(i))
		if path == anthropic {
			h["Anthropic-Version"] = []string{"2023-06-01"}
		}
		reqs[i] = extract.Request{Header: h, Body: body, Method: "POST", Path: path}
	}
	return reqs
}

// remake makes a Request where another one was. It sets the fields one by one: a literal would
// be made elsewhere and copied here as a whole. That takes as long as looking up a header, and
// nobody who makes a new Request pays for it.
func remake(req *extract.Request, h http.Header, body []byte, path string) {
	*req = extract.Request{}
	req.Header, req.Body, req.Method, req.Path = h, body, "POST", path
}

// newSelector returns a Selector of plain.Targets. Unless cfg says otherwise, it
// falls back on round robin.
func newSelector(cfg affinity.Config[*plain.Target]) *affinity.Selector[*plain.Target] {
	cfg.ID = func(t *plain.Target) string { return t.Name }
	if cfg.Fallback == nil {
		cfg.Fallback = balance.RoundRobin[*plain.Target]()
	}
	sel, err := affinity.New(cfg)
	must(err)
	return sel
}

// must panics if err is not nil: it is for what fails only if this program or the
// library is wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// The target of a header hit, hitLimit nanoseconds, is for a machine where
// xsync.Map.Load, the yardstick, takes yardstickTime. What is measured is scaled
// to that machine: divided by the yardstick's time in the same round, and
// multiplied by yardstickTime.
const (
	hitLimit      = 150
	yardstickTime = 25
)

// header measures requests of bound sessions whose id is in a header.
func header(s *setting) (result.Group, error) {
	g := result.Group{
		Title: "a request of a bound session, by an id in a header",
		Notes: []string{
			"Requests of 64 sessions by turns, with 14 headers each; each extract.Request is made anew where the last one was, which is counted. The plain one asks for the header first and so reads no body either;",
			"otter, phuslu/lru, ttlcache and golang-lru stand in for its map, all else being the same.",
			"The list of candidates is the same each time, so that we find a target where it stood the last time, but for the row that says otherwise: there we search, as plain always does.",
			"xsync.Map.Load is the yardstick: 1,000 sessions, one thread, by strings that are there already.",
			fmt.Sprintf("The target of %d ns is for a machine where the yardstick takes %d ns. So what is held against it is our time as a multiple of the yardstick's in the same round, times %d ns.", hitLimit, yardstickTime, yardstickTime),
		},
	}
	for _, size := range []int{2 << 10, 2 << 20} {
		body := bodies.Agent(size, 1, "", "")
		for _, n := range []int{8, 512} {
			name := fmt.Sprintf("%s of body, %d candidates", bytesOf(size), n)
			contenders, end := headerContenders(body, targetsOf(n))
			g.Races = append(g.Races, s.track.Race(name, contenders...))
			end()
		}
	}
	// The size of the body and the number of candidates ought not to matter, so
	// these are compared with each other.
	small, large := bodies.Agent(2<<10, 1, "", ""), bodies.Agent(2<<20, 1, "", "")
	same := s.track.Race("affinity alone",
		hits("2 kB, 8 candidates", "X-Session-Id", openAI, small, targetsOf(8), usual),
		hits("2 kB, 512 candidates", "X-Session-Id", openAI, small, targetsOf(512), usual),
		hits("2 MB, 8 candidates", "X-Session-Id", openAI, large, targetsOf(8), usual),
	)
	hit := func(race result.Race, row, target string) {
		scaled := result.Pairwise(race.Row(row).Samples, race.Row(rowLoad).Samples, func(a, b float64) float64 { return yardstickTime * a / b })
		g.AtMost(target+", "+race.Name, result.SpreadOf(scaled), hitLimit, "ns", fmt.Sprintf("scaled to a machine where xsync.Map.Load takes %d ns", yardstickTime))
	}
	for _, race := range g.Races {
		hit(race, rowOurs, "header hit")
	}
	large8, large512 := g.Races[2], g.Races[3] // 2 MB of body, 8 and 512 candidates
	hit(large8, rowDone, "with Done")
	hit(large8, rowClaude, "Claude Code's header")
	hit(large8, rowAnthropic, "X-Session-Id to /v1/messages")
	g.AtMost("512 candidates beside 8", result.Ratio(same.Rows[1], same.Rows[0]), 4.0/3, "x", "")
	g.AtMost("2 MB of body beside 2 kB (the same, within 15 %)", result.Ratio(same.Rows[2], same.Rows[0]), 1.15, "x", "")
	for _, row := range []string{rowOurs, rowDone, rowClaude, rowAnthropic} {
		g.AtMost("allocations, "+row, objects(large512.Row(row)), 0, "objects", "")
	}
	g.Races = append(g.Races, same)
	return g, nil
}

// objects returns how many objects an operation of a row allocates. Less than a hundredth
// counts as none: the runtime and other goroutines allocate now and then, too.
func objects(row result.Row) result.Spread {
	switch {
	case row.Allocs == nil:
		return result.Spread{}
	case row.Allocs.Objects < 0.01:
		return result.SpreadOf([]float64{0})
	}
	return result.SpreadOf([]float64{row.Allocs.Objects})
}

// headerContenders returns who is compared in a race of the header group. end
// stops the goroutines that they have running.
func headerContenders(body []byte, targets []*plain.Target) (list []lap.Contender, end func()) {
	ours := func(name, header, path string, w way) lap.Contender {
		return hits(name, header, path, body, targets, w)
	}
	load := func() lap.Contender {
		m := xsync.NewMap[string, string]()
		keys := peers.Keys(1000)
		for i := range keys {
			m.Store(peers.Key(i), "target")
		}
		return lap.Contender{Name: rowLoad, Do: func(n int) {
			found := 0
			for i := range n {
				if _, ok := m.Load(keys[i%1000]); ok {
					found++
				}
			}
			if found != n {
				panic("not found")
			}
		}}
	}
	plainly := func(name string, t peers.Table) lap.Contender {
		sel := &plain.Selector{Get: t.Get, Set: t.Set}
		reqs := requestsOf("X-Session-Id", openAI, body)
		once := func(i int) {
			req := &reqs[i%sessionsAtOnce]
			_, err := sel.Select(req.Header, req.Body, targets)
			must(err)
		}
		for i := range reqs {
			once(i)
		}
		return lap.Contender{Name: name, Do: func(n int) {
			for i := range n {
				once(i)
			}
		}}
	}
	list = []lap.Contender{
		ours(rowOurs, "X-Session-Id", openAI, usual),
		ours(rowDone, "X-Session-Id", openAI, done),
		ours("affinity, the same Request again", "X-Session-Id", openAI, again),
		ours("affinity, candidates in another order", "X-Session-Id", openAI, reordered),
		ours(rowClaude, "X-Claude-Code-Session-Id", anthropic, usual),
		ours(rowAnthropic, "X-Session-Id", anthropic, usual),
		load(),
	}
	var stores []peers.Table
	for _, name := range []string{peers.Plain, "otter", "phuslu/lru", "ttlcache", "golang-lru expirable"} {
		kind, _ := peers.KindOf(name)
		store := kind.New(10_000, time.Hour)
		stores = append(stores, store)
		row := rowPlain
		if name != peers.Plain {
			row += " over " + name
		}
		list = append(list, plainly(row, store))
	}
	return list, func() {
		for _, store := range stores {
			store.Close()
		}
	}
}

// A way is how hits goes about it. The usual one makes each Request anew, and has the
// candidates in the same order each time.
type way int

const (
	usual     way = iota
	done          // reports the outcome as well
	again         // hands the same Requests over, which remember what was read of them
	reordered     // begins the list of candidates with another one each time
)

// hits is a contender that selects for requests of bound sessions, by turns.
func hits(name, header, path string, body []byte, targets []*plain.Target, w way) lap.Contender {
	ctx := context.Background()
	sel := newSelector(affinity.Config[*plain.Target]{})
	reqs := requestsOf(header, path, body)
	// These bind the sessions. They have no body, which would be read once for each
	// new session.
	for i := range reqs {
		_, err := sel.Select(ctx, &extract.Request{Header: reqs[i].Header, Path: reqs[i].Path}, targets)
		must(err)
	}
	outcome := affinity.Outcome{Result: affinity.Served}
	twice := slices.Concat(targets, targets)
	first := 0
	return lap.Contender{Name: name, Do: func(n int) {
		for i := range n {
			req := &reqs[i%sessionsAtOnce]
			if w != again {
				remake(req, req.Header, req.Body, req.Path)
			}
			if w == reordered {
				first = (first + 37) % len(targets)
				targets = twice[first:][:len(targets)]
			}
			choice, err := sel.Select(ctx, req, targets)
			if err != nil || choice.Reason != affinity.ReasonBound {
				panic(fmt.Sprint("not bound: ", choice.Reason, err))
			}
			if w == done {
				choice.Done(outcome)
			}
		}
	}}
}

// bytesOf writes a number of bytes, which is whole kilobytes or megabytes.
func bytesOf(n int) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d kB", n>>10)
	}
	return fmt.Sprintf("%d MB", n>>20)
}
