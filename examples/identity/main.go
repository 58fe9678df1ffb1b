// Identity shows how well conversations are told apart. It runs labelled requests
// of real clients through a Selector and counts, for each client, the sessions that
// were split and those that were merged.
//
//	go run ./examples/identity [file.jsonl[.gz] ...]
//
// Without arguments it takes the requests that come with the repository; see
// internal/corpus/README.md for their form. Each client is shown twice: as it
// is, and as known by its messages alone, as if it sent no id.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/balance"
	"github.com/go-affinity/affinity/extract"
	"github.com/go-affinity/affinity/internal/corpus"
)

// form says what the files are.
const form = "files of labelled requests as in internal/corpus/README.md"

func main() {
	log.SetFlags(0)
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: identity [file.jsonl[.gz] ...],", form)
	}
	flag.Parse()
	requests, err := load(flag.Args())
	if err != nil {
		log.Fatalf("identity: %v", err)
	}
	if err := report(os.Stdout, requests); err != nil {
		log.Fatalf("identity: %v", err)
	}
}

func load(files []string) ([]corpus.Request, error) {
	if len(files) == 0 {
		return corpus.Clients(), nil
	}
	var all []corpus.Request
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: want %s", err, form)
		}
		requests, err := corpus.Read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w: want %s", name, err, form)
		}
		all = append(all, requests...)
	}
	return all, nil
}

// result is what became of the requests of one client.
type result struct {
	client            string
	requests          int
	sessions          int
	sources           []string // that named them
	split, merged     int      // sessions
	precision, recall float64  // over pairs of requests
	moved             int      // sessions that saw more than one target
}

func report(w io.Writer, requests []corpus.Request) error {
	if len(requests) == 0 {
		return fmt.Errorf("the files hold no requests: internal/corpus/README.md says what they look like")
	}
	for _, run := range []struct {
		title string
		chain extract.Extractor
	}{
		{"With all that the clients send", extract.Default()},
		{"By their messages alone", extract.Trail()},
	} {
		results, err := measure(run.chain, corpus.Interleave(requests))
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n\n", run.title)
		fmt.Fprintf(w, "  %-14s %8s %8s %7s %7s %7s %10s %7s  %s\n",
			"client", "requests", "sessions", "split", "merged", "moved", "precision", "recall", "known by")
		for _, r := range results {
			fmt.Fprintf(w, "  %-14s %8d %8d %7d %7d %7d %10.3f %7.3f  %s\n",
				r.client, r.requests, r.sessions, r.split, r.merged, r.moved, r.precision, r.recall, strings.Join(r.sources, ", "))
		}
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprint(w, `split     sessions that were taken for several
merged    sessions that were mixed up with another
moved     sessions that were sent to more than one of four targets
precision the share of the pairs of requests taken for one session that are of one
recall    the share of the pairs of requests of one session that were taken for one
`)
	return err
}

// seen is what became of one request.
type seen struct{ truth, taken, target, source string }

// measure runs the requests through a Selector of its own.
func measure(chain extract.Extractor, requests []corpus.Request) ([]result, error) {
	sel, err := affinity.New(affinity.Config[string]{
		ID:        func(target string) string { return target },
		Fallback:  balance.RoundRobin[string](),
		Extractor: chain,
	})
	if err != nil {
		return nil, err
	}
	byClient := map[string][]seen{}
	for i, r := range requests {
		path, _, _ := strings.Cut(r.Path, "?")
		req := &extract.Request{Header: r.Header, Body: r.Body, Method: r.Method, Path: path}
		choice, err := sel.Select(context.Background(), req, []string{"a", "b", "c", "d"})
		if err != nil {
			return nil, err
		}
		taken := choice.Session.String()
		if taken == "" { // each request without a session stands alone
			taken = fmt.Sprint("request ", i)
		}
		byClient[r.Client] = append(byClient[r.Client], seen{r.Session, taken, choice.Target, cmp.Or(choice.Source, "nothing")})
	}
	var results []result
	for _, client := range slices.Sorted(maps.Keys(byClient)) {
		results = append(results, judge(client, byClient[client]))
	}
	return results, nil
}

// judge sums up what became of the requests of one client.
func judge(client string, all []seen) result {
	takenAs, truths, targets, sources := sets{}, sets{}, sets{}, map[string]bool{}
	var same, right, together float64
	for i, a := range all {
		takenAs.add(a.truth, a.taken)
		truths.add(a.taken, a.truth)
		targets.add(a.truth, a.target)
		sources[a.source] = true
		for _, b := range all[:i] {
			if a.truth == b.truth {
				same++
			}
			if a.taken == b.taken {
				together++
			}
			if a.truth == b.truth && a.taken == b.taken {
				right++
			}
		}
	}
	r := result{
		client:   client,
		requests: len(all),
		sessions: len(takenAs),
		split:    takenAs.several(),
		moved:    targets.several(),
		sources:  slices.Sorted(maps.Keys(sources)),
		recall:   1, precision: 1,
	}
	merged := map[string]bool{}
	for _, sessions := range truths {
		if len(sessions) > 1 {
			maps.Copy(merged, sessions)
		}
	}
	r.merged = len(merged)
	if same > 0 {
		r.recall = right / same
	}
	if together > 0 {
		r.precision = right / together
	}
	return r
}

// sets maps a name to the set of names that were met with it.
type sets map[string]map[string]bool

func (s sets) add(name, other string) {
	if s[name] == nil {
		s[name] = map[string]bool{}
	}
	s[name][other] = true
}

// several returns how many names have more than one.
func (s sets) several() int {
	n := 0
	for _, set := range s {
		if len(set) > 1 {
			n++
		}
	}
	return n
}
