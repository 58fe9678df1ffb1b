package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

// demo replays requests of real clients, all conversations side by side, through a
// gateway over four fake upstreams with prompt caches of their own: once with all
// requests by round robin, as a plain load balancer would, and once with affinity,
// where it is new conversations that go by turns, so that every run shows the same.
// All numbers come from the answers. It fails if a conversation moves, or two are
// taken for one.
func demo(ctx context.Context, w io.Writer, extractor extract.Extractor) error {
	requests := corpus.Interleave(corpus.Clients())
	plain, err := replay(ctx, requests, extract.Chain{}, balance.RoundRobin[*upstream]())
	if err != nil {
		return err
	}
	sticky, err := replay(ctx, requests, extractor, balance.RoundRobin[*upstream]())
	if err != nil {
		return err
	}
	show(w, plain, sticky)
	return sticky.check()
}

// outcome is what was seen of one replay.
type outcome struct {
	answers  []seen
	requests []int // at each upstream
}

// seen is what the client was told for one request.
type seen struct {
	client, truth   string
	target, session string
	affinity.Usage
}

// replay sends the requests through a gateway of its own, one after the other.
// A fallback of nil is the gateway's.
func replay(ctx context.Context, requests []corpus.Request, extractor extract.Extractor, fallback affinity.Picker[*upstream]) (outcome, error) {
	o := options{cooldown: time.Second, hold: time.Second, failover: affinity.FailoverReturn}
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
			continue // no prompt, nothing to cache
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

func send(ctx context.Context, base string, r corpus.Request) (seen, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, base+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return seen{}, err
	}
	req.Header = r.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return seen{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return seen{}, fmt.Errorf("answered %s", resp.Status)
	}
	said := newReading(false)
	_, err = io.Copy(said, resp.Body)
	return seen{r.Client, r.Session, resp.Header.Get(targetHeader), resp.Header.Get(sessionHeader), said.usage()}, err
}

// check fails if a conversation moved, or two were taken for one.
func (o outcome) check() error {
	targets, truths := map[string]string{}, map[string]string{}
	for _, a := range o.answers {
		if t := cmp.Or(targets[a.truth], a.target); t != a.target {
			return fmt.Errorf("session %s moved from %s to %s", a.truth, t, a.target)
		}
		if a.session == "" {
			return fmt.Errorf("a request of session %s was not recognised", a.truth)
		}
		if t := cmp.Or(truths[a.session], a.truth); t != a.truth {
			return fmt.Errorf("sessions %s and %s were taken for one", t, a.truth)
		}
		targets[a.truth], truths[a.session] = a.target, a.truth
	}
	return nil
}

// sums are what is shown of one client, or of all.
type sums struct {
	requests, sessions int
	later, stayed      int // turns after the first
	affinity.Usage
}

func (o outcome) sums(client string) (s sums) {
	last := map[string]string{}
	for _, a := range o.answers {
		if client != "" && a.client != client {
			continue
		}
		s.requests++
		if target, ok := last[a.truth]; !ok {
			s.sessions++
		} else if s.later++; target == a.target {
			s.stayed++
		}
		last[a.truth] = a.target
		s.Uncached += a.Uncached
		s.Cached += a.Cached
	}
	return s
}

// cached is how much of the input came from a cache.
func (s *sums) cached() string { return percent(s.Cached, s.Cached+s.Uncached) }

// saved is how much less it cost than was.
func (s *sums) saved(was sums) string { return percent(was.Cost()-s.Cost(), was.Cost()) }

func show(w io.Writer, plain, sticky outcome) {
	var clients []string
	for _, a := range sticky.answers {
		if !slices.Contains(clients, a.client) {
			clients = append(clients, a.client)
		}
	}
	slices.Sort(clients)
	was, is := plain.sums(""), sticky.sums("")
	fmt.Fprintf(w, "%d requests of %d conversations, recorded from real clients and replayed side by side\n"+
		"over %d upstreams that each have a prompt cache of their own\n\n", is.requests, is.sessions, len(sticky.requests))

	const layout = "%-13s %8v %8v   %11s %8s   %11s %8s   %10s\n"
	fmt.Fprintf(w, "%34s turns that stayed   %20s   %10s\n", "", "tokens from a cache", "input cost")
	fmt.Fprintf(w, layout, "client", "sessions", "requests", "round robin", "affinity", "round robin", "affinity", "saved")
	line := strings.Repeat("─", 87)
	fmt.Fprintln(w, line)
	row := func(name string, was, is sums) {
		fmt.Fprintf(w, layout, name, is.sessions, is.requests,
			fmt.Sprintf("%d of %d", was.stayed, was.later), fmt.Sprintf("%d of %d", is.stayed, is.later),
			was.cached(), is.cached(), is.saved(was))
	}
	for _, c := range clients {
		row(c, plain.sums(c), sticky.sums(c))
	}
	fmt.Fprintln(w, line)
	row("all", was, is)

	fmt.Fprintf(w, "\nrequests at each upstream, with affinity\n")
	for i, n := range sticky.requests {
		const width = 60
		filled := 2 * width * n / max(is.requests, 1) // half of all fills the bar
		bar := strings.Repeat("█", min(filled, width)) + strings.Repeat("░", max(width-filled, 0))
		fmt.Fprintf(w, "  %c  %s %4d %6s\n", 'a'+i, bar, n, percent(n, is.requests))
	}
	fmt.Fprintf(w, "\nWith affinity %d of %d turns came back to the upstream that had their prompt (%d without),\n"+
		"%s of all input tokens came from a cache (%s without), and the input cost %s less.\n"+
		"A cached token is taken to cost a tenth of an uncached one, and any token to be four bytes long.\n",
		is.stayed, is.later, was.stayed, is.cached(), was.cached(), is.saved(was))
}
