// Speed measures how fast package affinity is, beside a plain implementation
// and the libraries that one would build it from, all in one run.
//
//	go run -C bench ./speed                         # from the root of the repository
//	go run -C bench ./speed -quick                  # a look in half a minute
//	go run -C bench ./speed -run 'header|table'     # some groups only
//	go run -C bench ./speed -json /tmp/result.json  # for ./speed/report
//
// Everything that is compared is measured by turns, in slices of some
// milliseconds, round after round, so that what else the machine does hits all
// alike. What is printed is the median over the rounds and, in brackets, the
// quartiles; a ratio is that of two samples of the same round. Below each group
// stand its targets, and whether they are met. That does not change the exit
// status: a target may be missed because of the machine.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-affinity/affinity/bench/speed/internal/lap"
	"github.com/go-affinity/affinity/bench/speed/internal/result"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if len(os.Args) > 2 && os.Args[1] == "child" {
		if err := child(ctx, os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "speed: child:", err)
			os.Exit(1)
		}
		return
	}
	err := run(ctx, os.Args[1:], os.Stdout, newProgress(os.Stderr))
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

// group measures figures that belong together.
type group struct {
	name string
	run  func(*session) (result.Group, error)
}

// groups are all there are.
//
// Tables of millions come late: what is measured after them, in a heap that was of
// gigabytes, takes up to four times as long, whoever's it is.
var groups = []group{
	{"header", header},
	{"scaling", scaling},
	{"cold", cold},
	{"bodyid", bodyID},
	{"messages", messages},
	{"hostile", hostile},
	{"table", table},
	{"memory", memory},
	{"stall", stall},
	{"gateway", gateway},
	{"streaming", streaming},
}

// session is one run of the command.
type session struct {
	context.Context
	quick bool
	track lap.Track
	log   io.Writer
	tmp   string // a directory of its own
}

// pick returns full, or quick if it has to be quick.
func pick[T any](s *session, full, quick T) T {
	if s.quick {
		return quick
	}
	return full
}

// say shows what is going on.
func (s *session) say(format string, args ...any) { fmt.Fprintf(s.log, format+"\n", args...) }

// progress writes what it is told: on a terminal all of it, each line over the
// one before; elsewhere a line in ten seconds.
type progress struct {
	w        io.Writer
	terminal bool
	last     time.Time
}

func newProgress(f *os.File) *progress {
	info, err := f.Stat()
	return &progress{w: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// Write implements io.Writer. It is called with one line at a time.
func (p *progress) Write(line []byte) (int, error) {
	now := time.Now()
	switch {
	case p.terminal:
		fmt.Fprintf(p.w, "\r\x1b[K%s", bytes.TrimSpace(line))
	case now.Sub(p.last) > 10*time.Second && len(line) > 1:
		p.last = now
		fmt.Fprintf(p.w, "%s", line)
	}
	return len(line), nil
}

const usualRounds = 21

func run(ctx context.Context, args []string, stdout, log io.Writer) error {
	f := flag.NewFlagSet("speed", flag.ContinueOnError)
	f.SetOutput(os.Stderr)
	quick := f.Bool("quick", false, "take half a minute: few rounds, small tables; not to be quoted")
	file := f.String("json", "", "write the result to this `file`, for ./speed/report")
	only := f.String("run", "", "measure only the groups that match this `regexp`: "+names())
	profile := f.String("cpuprofile", "", "write a CPU profile of this process to this `file`")
	rounds := f.Int("rounds", 0, "how often to measure what takes turns (default 21, or 5 if quick); with fewer, not to be quoted")
	if err := f.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if *rounds < 0 {
		return errors.New("-rounds: a number of rounds is positive")
	}
	if !slices.ContainsFunc(groups, func(g group) bool { return match.MatchString(g.name) }) {
		return fmt.Errorf("-run: no group matches %q: there are %s", *only, names())
	}
	s := &session{
		Context: ctx,
		quick:   *quick,
		track:   lap.Track{Slice: 10 * time.Millisecond, Rounds: usualRounds, Log: log},
		log:     log,
	}
	if s.quick {
		s.track.Slice, s.track.Rounds = 2*time.Millisecond, 5
	}
	if *rounds > 0 {
		s.track.Rounds = *rounds
	}
	if s.tmp, err = os.MkdirTemp("", "speed"); err != nil {
		return err
	}
	defer os.RemoveAll(s.tmp)

	if *profile != "" {
		w, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer w.Close()
		if err := pprof.StartCPUProfile(w); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	start := time.Now()
	out := &result.Run{
		When:     start.UTC().Truncate(time.Second),
		Go:       runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH,
		CPU:      cpu(),
		Procs:    runtime.GOMAXPROCS(0),
		Revision: revision(),
		Quick:    s.quick || *rounds > 0 && *rounds < usualRounds,
	}
	fmt.Fprintf(stdout, "%s, %s, %d processors (%s), revision %s\n", out.Go, out.Platform, out.Procs, out.CPU, out.Revision)
	var failed []error
	for _, g := range groups {
		if !match.MatchString(g.name) {
			continue
		}
		began := time.Now()
		done, err := g.run(s)
		s.say("")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil { // which should not cost us the others
			failed = append(failed, fmt.Errorf("%s: %w", g.name, err))
			continue
		}
		done.Name = g.name
		out.Groups = append(out.Groups, done)
		show(stdout, done)
		fmt.Fprintf(stdout, "(%.1f s)\n", time.Since(began).Seconds())
		runtime.GC()
		debug.FreeOSMemory()
	}
	out.Took = time.Since(start).Seconds()
	summary(stdout, out)
	if *file != "" {
		failed = append(failed, save(*file, out))
	}
	return errors.Join(failed...)
}

func save(file string, r *result.Run) error {
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := r.Write(w); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

func names() string {
	var list []string
	for _, g := range groups {
		list = append(list, g.name)
	}
	return strings.Join(list, ", ")
}

// cpu returns the name of the processor, where there is a way to know.
func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// revision returns the commit that is measured, with a plus sign if it is not
// all that is.
func revision() string {
	hash, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return "unknown"
	}
	changes, _ := exec.Command("git", "status", "--porcelain", ":/", ":!/bench").Output()
	if len(changes) > 0 {
		return strings.TrimSpace(string(hash)) + "+"
	}
	return strings.TrimSpace(string(hash))
}
