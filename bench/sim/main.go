// Sim replays traffic of language models through policies that choose among
// upstreams with prompt caches, and tells what each costs in cache misses and
// in imbalance.
//
//	go run -C bench ./sim                                # all policies, about half a minute
//	go run -C bench ./sim -trace cc6 -policies ours      # some of it
//	go run -C bench ./sim -outage 10m/2h -failover return
//	go run -C bench ./sim -trace chats,manual,swarms     # for which nothing was tuned
//
// The policies of this library are the library itself: Selectors that are
// driven in virtual time. Those of others are written from their published
// algorithms. A trace is read from the directory that -traces names, or else from
// $AFFINITY_TRACES, ../shared/traces or ../../shared/traces. If none of the latter
// has it, a seeded generator that was fitted to the real trace makes one up, and
// the output says so.
//
// Progress goes to the standard error, tables to the standard output, and
// charts to -charts. If no flag changes what is simulated and all traces are
// real, the figures are also compared with the targets in targets.go, and the
// exit status is 1 if one is missed. See -help for all flags.
//
// The figures and charts of README.md are of such a run; those in its text are written by hand.
// A policy is added in policies.go, a target in targets.go. A trace of your own is a file in the
// format of package trace, named by -traces and -trace.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/bench/internal/trace"
	"github.com/go-affinity/affinity/bench/internal/upstream"
)

func main() {
	// Virtual time (testing/synctest) exists only in tests, so the whole command
	// runs as one. The flags are its own and not those of package testing, which
	// only has to be kept from stopping it after ten minutes.
	testing.Init()
	if err := flag.CommandLine.Parse([]string{"-test.timeout=0"}); err != nil {
		panic(err)
	}
	testing.Main(
		func(string, string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "sim", F: func(t *testing.T) {
			err := run(t, os.Args[1:], os.Stdout, os.Stderr)
			if err != nil {
				fmt.Fprintln(os.Stderr, "sim:", err)
				os.Exit(1)
			}
			os.Exit(0) // before package testing prints PASS
		}}}, nil, nil)
}

// unknown is the error for a name that is none of those known.
func unknown(what, name string, known []string) error {
	return fmt.Errorf("there is no %s %q; want one of %s", what, name, strings.Join(known, ", "))
}

// settings are what the flags say.
type settings struct {
	cond     conditions
	policies []policy
	traces   []string
	dir      string // where these are
	seeds    seeds
	charts   string // where charts go, or ""
	targets  bool
	usual    bool // it is the run that the charts of the README show and that the targets were set for
}

// parse reads the flags.
func parse(args []string, progress io.Writer) (settings, error) {
	s := settings{usual: true, cond: conditions{
		upstreams: upstream.Config{MinHit: 1024, Delay: 500 * time.Millisecond, Rate: 20000},
		cooldown:  30 * time.Second,
	}}
	flags := flag.NewFlagSet("sim", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.IntVar(&s.cond.upstreams.N, "n", 16, "number of upstreams")
	flags.DurationVar(&s.cond.upstreams.TTL, "ttl", 5*time.Minute, "how long an upstream keeps what is in its cache after the last use")
	flags.IntVar(&s.cond.upstreams.Capacity, "capacity", 0, "most `tokens` that an upstream's cache holds; 0 for no limit")
	flags.IntVar(&s.seeds.count, "seeds", 5, "number of runs of each policy, in which sessions start at different times. (Ours break ties at random, so their figures differ a little even for one seed)")
	flags.Uint64Var(&s.seeds.first, "seed", 1, "seed of the first run; the others have the numbers after it")
	list := flags.String("policies", "all", "simulate only these policies, by their comma-separated `keys`: "+strings.Join(keys(), ", "))
	names := flags.String("trace", strings.Join(trace.Names(), ","), "simulate only these traces, by their comma-separated `names`; also "+strings.Join(trace.Shapes(), ", ")+", which are made up and for which no policy was tuned")
	flags.StringVar(&s.dir, "traces", "", "`directory` of the trace files, or \"none\" to use the generator (default $AFFINITY_TRACES, or shared/traces beside the repository)")
	outage := flags.String("outage", "", "take each upstream out again and again, one after the other: `for/every`, such as 10m/2h")
	flags.Float64Var(&s.cond.rate, "rate", 0, "uncached `tokens` a minute after which an upstream answers 429; 0 for no limit")
	failover := flags.String("failover", "rebind", "what the library does when a session's home fails: rebind or return")
	flags.StringVar(&s.charts, "charts", "", "write charts into this `directory` (default charts, or none if a flag changes what they show)")
	flags.BoolVar(&s.targets, "targets", false, "compare with our targets, and fail if one is missed (default if no other flag changes what they were set for)")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	flags.Visit(func(f *flag.Flag) {
		s.usual = s.usual && slices.Contains([]string{"traces", "targets", "charts"}, f.Name)
	})
	switch c := s.cond; {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q: see -help", flags.Arg(0))
	case c.upstreams.N < 1 || c.upstreams.N > maxUpstreams:
		return s, fmt.Errorf("-n %d: the number of upstreams must be 1 to %d", c.upstreams.N, maxUpstreams)
	case s.seeds.count < 1:
		return s, fmt.Errorf("-seeds %d: give at least one", s.seeds.count)
	case c.upstreams.TTL <= 0:
		return s, fmt.Errorf("-ttl %v: the lifetime of a cache must be positive", c.upstreams.TTL)
	case c.upstreams.Capacity < 0 || c.rate < 0:
		return s, errors.New("-capacity and -rate must not be negative")
	}
	if s.charts == "" && s.usual {
		s.charts = "charts"
	}
	s.traces = strings.Split(*names, ",")
	var err error
	if s.policies, err = chosen(*list); err != nil {
		return s, err
	}
	var ok bool
	if s.cond.failover, ok = map[string]affinity.FailoverPolicy{"rebind": affinity.FailoverRebind, "return": affinity.FailoverReturn}[*failover]; !ok {
		return s, unknown("failover policy", *failover, []string{"rebind", "return"})
	}
	s.cond.outage, err = parseSchedule(*outage)
	return s, err
}

func run(t *testing.T, args []string, out, progress io.Writer) error {
	s, err := parse(args, progress)
	if err == flag.ErrHelp {
		return nil
	}
	if err != nil {
		return err
	}
	began := time.Now()
	var workloads []*workload
	for _, name := range s.traces {
		w, err := find(name, s.dir)
		if err != nil {
			return err
		}
		from := "read"
		if w.made {
			from = "no trace file: made by the generator"
		}
		fmt.Fprintf(progress, "%s: %d requests, %s\n", name, len(w.trace.Requests), from)
		workloads = append(workloads, w)
		s.usual = s.usual && !w.made // the targets were set on the real ones
	}
	if s.charts != "" { // to find out after the simulation is too late
		if err := os.MkdirAll(s.charts, 0o777); err != nil {
			return fmt.Errorf("-charts: %w", err)
		}
	}
	results, err := simulate(t, workloads, s.policies, s.cond, s.seeds, progress)
	if err != nil {
		return err
	}
	rep := newReport(results, workloads, s.cond, s.seeds.count)
	rep.print(out)
	if s.charts != "" {
		if err := rep.draw(s.charts); err != nil {
			return fmt.Errorf("-charts: %w", err)
		}
	}
	if s.targets || s.usual {
		// Some of them are for upstreams that fail.
		s.cond.outage = schedule{10 * time.Minute, 2 * time.Hour}
		results, err := simulate(t, workloads, failing(s.policies), s.cond, s.seeds, progress)
		if err != nil {
			return err
		}
		if err := check(out, rep, newReport(results, workloads, s.cond, s.seeds.count)); err != nil {
			return err
		}
	}
	fmt.Fprintf(progress, "%s\n", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// parseSchedule reads "10m/2h".
func parseSchedule(s string) (schedule, error) {
	if s == "" {
		return schedule{}, nil
	}
	out, every, ok := strings.Cut(s, "/")
	o, err1 := time.ParseDuration(out)
	e, err2 := time.ParseDuration(every)
	if !ok || err1 != nil || err2 != nil || o <= 0 || o >= e {
		return schedule{}, fmt.Errorf("%q is not two durations such as 10m/2h, the first one shorter than the second", s)
	}
	return schedule{o, e}, nil
}

// spreads are the times over which the starts of a trace's sessions are spread, where
// that is not eight hours and the trace does not say itself when they start. Those of
// the shapes would leave sixteen upstreams idle for most of eight hours.
var spreads = map[string]time.Duration{"tau_airline": 30 * time.Minute, "chats": time.Hour, "manual": time.Hour, "swarms": 4 * time.Hour}

// open reads the trace of that name from dir, or from the usual places if dir is
// "". It has the generator make the trace up, and reports that it did, if dir is
// "none" or no usual place has it; a directory that was asked for must have it, but for
// the shapes.
func open(name, dir string) (t *trace.Trace, made bool, err error) {
	dirs := []string{dir}
	if dir == "" {
		dirs = []string{os.Getenv("AFFINITY_TRACES"), "../shared/traces", "../../shared/traces"}
	}
	for _, d := range dirs {
		if d == "" || d == "none" {
			continue
		}
		t, err := trace.Open(filepath.Join(d, name+".tsv.gz"))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		t.Name = name
		return t, false, nil
	}
	if dir != "" && dir != "none" && !slices.Contains(trace.Shapes(), name) {
		return nil, false, fmt.Errorf("-traces: there is no %s.tsv.gz in %s; \"-traces none\" makes traces up", name, dir)
	}
	t, err = trace.Generate(name, 1)
	return t, true, err
}

// find makes a workload of the trace of that name.
func find(name, dir string) (*workload, error) {
	t, made, err := open(name, dir)
	if err != nil {
		return nil, err
	}
	spread := cmp.Or(spreads[name], max(8*time.Hour, t.Span()))
	return &workload{trace: t, trie: t.Trie(scorerCap), spread: spread, made: made}, nil
}
