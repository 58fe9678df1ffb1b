// Gateway is a streaming reverse proxy for LLM APIs over several upstreams that
// keeps each conversation on one of them.
//
//	go run ./examples/gateway -listen 127.0.0.1:8080 \
//	    -upstream a=https://api.anthropic.com,key-env=KEY_A \
//	    -upstream b=https://api.anthropic.com,key-env=KEY_B
//
// Point a client's base URL at it. Path, query, headers and bodies pass through
// as they are, streams as they come, for Anthropic Messages, OpenAI Chat and
// Responses, Gemini and whatever else speaks HTTP. Responses say what was
// decided: Affinity-Target names the upstream, Affinity-Reason why, and
// Affinity-Session stands for the conversation (a keyed digest, never its id).
//
// An upstream that cannot be reached or answers 429 or 5xx is left out for a
// while, and the request is tried once more on another one if nothing was sent
// to the client yet. Clients with different credentials share no sessions.
//
// With key-env=NAME the upstream gets the credential in that environment
// variable in place of the client's. With -admin ADDR there is a page of what
// goes on, as text and as JSON under /status; DELETE /targets/NAME and
// DELETE /sessions/DIGEST there release bindings.
//
//	go run ./examples/gateway -demo
//
// shows it at work, with nothing but itself: see demo.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	listen, admin string
	upstreams     []*upstream
	ttl           time.Duration
	capacity      int
	bodyLimit     int64
	cooldown      time.Duration
	verbose, demo bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("gateway", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` to serve clients on")
	f.StringVar(&o.admin, "admin", "", "`address` of the admin page (default: none)")
	f.Func("upstream", "an upstream as `name=url[,key-env=VARIABLE]`; give one flag for each", func(s string) error {
		u, err := parseUpstream(s, os.LookupEnv)
		if err != nil {
			return err
		}
		for _, other := range o.upstreams {
			if other.name == u.name {
				return fmt.Errorf("there are two upstreams called %q", u.name)
			}
		}
		o.upstreams = append(o.upstreams, u)
		return nil
	})
	f.DurationVar(&o.ttl, "ttl", affinity.DefaultTTL, "how long a conversation is remembered after its last request")
	f.IntVar(&o.capacity, "capacity", affinity.DefaultCapacity, "how many bindings are remembered at most")
	f.Int64Var(&o.bodyLimit, "body-limit", extract.DefaultBodyLimit, "how many `bytes` of a body are read to find its conversation and to try again")
	f.DurationVar(&o.cooldown, "cooldown", 10*time.Second, "how long an upstream that failed is left out, unless it says")
	f.BoolVar(&o.verbose, "v", false, "log every request")
	f.BoolVar(&o.demo, "demo", false, "replay requests of real clients against fake upstreams and show what is saved")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: everything is said by flags, see -help", f.Arg(0))
	case o.demo:
	case len(o.upstreams) == 0:
		return o, errors.New("no upstream: give -upstream name=url at least once, or try -demo")
	case o.ttl <= 0:
		return o, errors.New("-ttl must be positive, such as 1h")
	case o.capacity <= 0:
		return o, errors.New("-capacity must be positive")
	case o.bodyLimit <= 0:
		return o, errors.New("-body-limit must be positive")
	case o.cooldown <= 0:
		return o, errors.New("-cooldown must be positive, such as 10s")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.demo {
		return demo(ctx, stdout)
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	g, err := newGateway(o, extract.Default(), log, nil)
	if err != nil {
		return err
	}
	defer g.close()
	servers := []*http.Server{{Addr: o.listen, Handler: g, ReadHeaderTimeout: time.Minute}}
	if o.admin != "" {
		servers = append(servers, &http.Server{Addr: o.admin, Handler: g.admin(), ReadHeaderTimeout: time.Minute})
	}
	return serve(ctx, log, servers)
}

// grace is how long streams may go on after the signal to stop.
const grace = 30 * time.Second

// serve runs the servers until ctx ends or one of them fails.
func serve(ctx context.Context, log *slog.Logger, servers []*http.Server) error {
	failed := make(chan error, len(servers))
	for _, s := range servers {
		l, err := net.Listen("tcp", s.Addr)
		if err != nil {
			return fmt.Errorf("%w: is another program listening there?", err)
		}
		log.Info("listening", "addr", l.Addr().String())
		go func() { failed <- s.Serve(l) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info("stopping", "grace", grace)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	for _, s := range servers {
		if s.Shutdown(ctx) != nil {
			s.Close()
		}
	}
	return err
}
