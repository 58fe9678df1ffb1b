package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

// The demo replays requests of real clients, all sessions at once, through a
// gateway over four fake upstreams with prompt caches of their own: once in
// turn, as a plain load balancer would, and once with affinity. All numbers
// come from the answers.
func demo(ctx context.Context, w io.Writer) error {
	requests := corpus.Interleave(corpus.Clients())
	plain, err := replay(ctx, requests, extract.Chain{}, balance.RoundRobin[*upstream]())
	if err != nil {
		return err
	}
	sticky, err := replay(ctx, requests, extract.Default(), nil)
	if err != nil {
		return err
	}
	show(w, plain, sticky)
	return sticky.check()
}

// outcome is what was seen of one replay.
type outcome struct {
	answers  []answer
	requests []int // at each upstream
}

// answer is what the client was told for one request.
type answer struct {
	client, truth   string
	target, session string
	usage
}

// replay sends the requests through a gateway of its own, one after the other.
// A fallback of nil is the gateway's.
func replay(ctx context.Context, requests []corpus.Request, extractor extract.Extractor, fallback affinity.Picker[*upstream]) (outcome, error) {
	o := options{ttl: affinity.DefaultTTL, capacity: affinity.DefaultCapacity, bodyLimit: extract.DefaultBodyLimit, cooldown: 1}
	var fakes [4]fake
	for i := range fakes {
		server := httptest.NewServer(&fakes[i])
		defer server.Close()
		u, err := url.Parse(server.URL)
		if err != nil {
			return outcome{}, err
		}
		o.upstreams = append(o.upstreams, &upstream{name: string(rune('a' + i)), url: u})
	}
	g, err := newGateway(o, extractor, slog.New(slog.DiscardHandler), fallback)
	if err != nil {
		return outcome{}, err
	}
	defer g.close()
	front := httptest.NewServer(g)
	defer front.Close()

	var out outcome
	for _, r := range requests {
		if r.Body == nil {
			continue // nothing to cache
		}
		a, err := send(ctx, front.URL, r)
		if err != nil {
			return outcome{}, fmt.Errorf("request %d of %s: %w", r.Seq, r.Session, err)
		}
		out.answers = append(out.answers, a)
	}
	for i := range fakes {
		out.requests = append(out.requests, fakes[i].requests)
	}
	return out, nil
}

func send(ctx context.Context, base string, r corpus.Request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, base+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return answer{}, err
	}
	req.Header = r.Header.Clone()
	req.Header.Del("Content-Length")
	req.Header.Del("Accept-Encoding")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("answered %s", resp.Status)
	}
	a := answer{client: r.Client, truth: r.Session, target: resp.Header.Get(targetHeader), session: resp.Header.Get(sessionHeader)}
	var text struct{ Usage *usage }
	text.Usage = &a.usage
	return a, json.NewDecoder(resp.Body).Decode(&text)
}

// check fails if a conversation moved, or two were taken for one.
func (o outcome) check() error {
	targets, truths := map[string]string{}, map[string]string{}
	for _, a := range o.answers {
		if t := cmp.Or(targets[a.truth], a.target); t != a.target {
			return fmt.Errorf("session %s moved from %s to %s", a.truth, t, a.target)
		}
		targets[a.truth] = a.target
		if a.session == "" {
			return fmt.Errorf("a request of session %s was not recognised", a.truth)
		}
		if t := cmp.Or(truths[a.session], a.truth); t != a.truth {
			return fmt.Errorf("sessions %s and %s were taken for one", t, a.truth)
		}
		truths[a.session] = a.truth
	}
	return nil
}

// sums are what is shown of one client, or of all.
type sums struct {
	requests, sessions    int
	later, stayed         int // turns after the first
	input, cached, cost10 int // cost in tenths of a token
	last                  map[string]string
}

func (s *sums) add(a answer) {
	if s.last == nil {
		s.last = map[string]string{}
	}
	s.requests++
	if target, seen := s.last[a.truth]; seen {
		s.later++
		if target == a.target {
			s.stayed++
		}
	} else {
		s.sessions++
	}
	s.last[a.truth] = a.target
	s.input += a.Input
	s.cached += a.Cached
	s.cost10 += 10*(a.Input-a.Cached) + a.Cached // a cached token costs a tenth
}

func (o outcome) sums(client string) (s sums) {
	for _, a := range o.answers {
		if client == "" || a.client == client {
			s.add(a)
		}
	}
	return s
}

func percent(a, b int) string { return fmt.Sprintf("%.0f %%", 100*float64(a)/float64(max(b, 1))) }

func show(w io.Writer, plain, sticky outcome) {
	var clients []string
	for _, a := range sticky.answers {
		if !slices.Contains(clients, a.client) {
			clients = append(clients, a.client)
		}
	}
	slices.Sort(clients)
	all, was := sticky.sums(""), plain.sums("")
	fmt.Fprintf(w, "%d requests of %d real conversations, all at once, over four upstreams that cache prompts\n\n",
		all.requests, all.sessions)
	fmt.Fprintf(w, "%29s   turns that stayed      cached tokens       \n", "")
	fmt.Fprintf(w, "%-13s %8s %6s   %9s %9s   %9s %9s   %9s\n",
		"client", "sessions", "calls", "in turn", "affinity", "in turn", "affinity", "saved")
	line := strings.Repeat("─", 88)
	fmt.Fprintln(w, line)
	row := func(name string, p, s sums) {
		fmt.Fprintf(w, "%-13s %8d %6d   %9s %9s   %9s %9s   %9s\n", name, s.sessions, s.requests,
			fmt.Sprintf("%d of %d", p.stayed, p.later), fmt.Sprintf("%d of %d", s.stayed, s.later),
			percent(p.cached, p.input), percent(s.cached, s.input), percent(p.cost10-s.cost10, p.cost10))
	}
	for _, c := range clients {
		row(c, plain.sums(c), sticky.sums(c))
	}
	fmt.Fprintln(w, line)
	row("all", was, all)

	fmt.Fprintf(w, "\nrequests at each upstream, with affinity\n")
	most := slices.Max(sticky.requests)
	for i, n := range sticky.requests {
		fmt.Fprintf(w, "  %c %s %d (%s)\n", 'a'+i, strings.Repeat("█", 60*n/max(most, 1)), n, percent(n, all.requests))
	}
	fmt.Fprintf(w, "\nWith affinity %s of the input tokens came from a cache instead of %s, and the input cost %s less.\n",
		percent(all.cached, all.input), percent(was.cached, was.input), percent(was.cost10-all.cost10, was.cost10))
	fmt.Fprintln(w, "A cached token is counted as a tenth of another one, and four bytes as a token.")
}
