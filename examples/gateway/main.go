// Gateway is a streaming reverse proxy for LLM APIs over several upstreams that
// keeps each conversation on one of them.
//
//	go run ./examples/gateway -listen 127.0.0.1:8080 \
//	    -upstream a=https://api.anthropic.com,key-env=KEY_A \
//	    -upstream b=https://api.anthropic.com,key-env=KEY_B
//
// Point a client's base URL at it. Path (which must not have .. in it), query, headers and
// bodies pass through as they are, streams as they come, for Anthropic Messages, OpenAI Chat
// and Responses, Gemini and whatever else speaks HTTP. Responses say what was decided:
// Affinity-Target names the upstream that answered, Affinity-Reason says why, and
// Affinity-Session stands for the conversation (a keyed digest, never its id). Where an
// API keeps state that later requests refer to, its ids are learned from the responses.
// Since responses are read on their way, Accept-Encoding asks for none that is compressed.
//
// New conversations go where costs were lowest lately, as the responses tell them, or
// with -prefix, where most of the prompt is cached. Clients with different credentials
// share no sessions.
//
//	go run ./examples/gateway -demo
//
// shows it at work with nothing but itself, and fails if a conversation moves.
//
// # Upstreams that fail
//
// An upstream that cannot be reached, breaks off, reports an error in a response or answers
// 429 or 5xx is left out for a while: for as long as its Retry-After says, up to five
// minutes, or else for an eighth of -cooldown, doubled each time that it fails again, up
// to all of it. Then single requests try it, and as long as it serves them, more and
// more. Meanwhile its conversations are served elsewhere. With -failover return they come
// back later, except those for which the gateway's own credential was denied. With rebind
// they stay away.
//
// Some answers count against less than all of an upstream:
//
//   - a 429 to a client's own credential, or a denial where others accept it: against that
//     client, model and path, and for all of -cooldown if the answer does not say for how
//     long;
//   - any other 429, if it says for how long: against that model and path.
//
// An upstream that takes far longer than the others to begin its answers (-slow), and more
// than a second, or three where they are not streamed, gets only single requests until it
// no longer does. One that begins no answer at all is given up. (So an answer that takes many
// times as long as usual, and at least eight seconds, may be asked for twice.) An answer may
// take ten minutes to begin, and as long as it likes from then on. But a client that stops
// sending its request is given up after a minute, and so is whoever stops reading what it is
// sent, client or upstream, and an answer that comes in place of leave to send a body and then
// stops.
//
// # Requests that fail
//
// A request that fails is tried on the other upstreams, one after the other, and then again
// as far as -patience goes, as long as the client has nothing of an answer. (If that breaks
// off later, the client must send the request again.) There are exceptions:
//
//   - after errors such as 500, which may be the request's own fault, it is tried on each
//     twice at most;
//   - if the client's credential is denied, it is tried on one other that is there;
//   - if the gateway's own credential is denied, it is tried on each upstream once; then the
//     client gets a 502, since its own credential is not at fault;
//   - if its body is larger than -body-limit, it is tried elsewhere only as long as none of that
//     has been sent, as where a client asks for leave (Expect: 100-continue) and is refused;
//   - if it refers to state at an upstream that is out, and the others know nothing of it (404,
//     or a 400 that may say so), the client gets a 503, to come back later.
//
// When all are out, those that have failed and did not say for how long are asked all the
// same. If there are none, the request waits for the first that comes back, up to
// -patience.
//
// # Credentials
//
// The gateway does not authenticate clients: whoever can reach -listen (on 127.0.0.1, any web
// page in a browser of that machine) spends what its keys pay for. With key-env=NAME, an
// upstream gets the credential in that environment variable, and with key-file=FILE the one in
// that file, in a header in place of the client's own, which goes no further.
//
// # Operation
//
// The file that -upstreams names has more upstreams, one to a line. SIGHUP reads it and
// the key files again, and conversations stay where they are. SIGTERM lets streams end,
// for up to half a minute.
//
// With -admin ADDR, there is a status page, as text and as JSON under /status, and what
// follows, for whoever can reach ADDR. NAME may be an upstream that is no longer configured:
//
//	PUT    /targets/NAME/drain?for=10m    no new conversations; none at all after that
//	DELETE /targets/NAME/drain            ends that
//	DELETE /targets/NAME                  places its conversations anew
//	POST   /targets/NAME/move?to=OTHER    gives them to another
//	DELETE /sessions/DIGEST               the same for one conversation
//	POST   /sessions/DIGEST/move?to=OTHER
//	DELETE /scopes/DIGITS                 and for all of a tenant: the first six
//	POST   /scopes/DIGITS/move?to=OTHER   digits of any conversation of it
//	POST   /reload                        as SIGHUP
//
// # Files
//
// To put package affinity before a proxy of your own takes some ten lines, as its
// ExampleSelection_Done_proxy shows. Here they are in setup.go (New), proxy.go (what a request
// is), choose.go (Select), retry.go (once more) and attempt.go (Done). The rest is what a
// gateway needs besides: health.go, trouble.go, slow.go and retryafter.go say when
// an upstream is left out, for what and for how long; hold.go, watchdog.go and stall.go, how
// long to wait for whom; response.go, usage.go, lexer.go and state.go read responses, and
// kept.go those that tell of a failure; upstream.go, upload.go and transport.go send requests,
// and credential.go puts keys in place; balancer.go places new conversations; errors.go is
// what clients are told; admin.go and stats.go are the status page; flags.go reads the flags and
// the file with more upstreams. Tests stand beside these files; scenario_test.go is what all are
// judged by. They use rig_test.go, a gateway before real servers, or world_test.go, one in virtual
// time.
//
// A copy of the directory builds without demo.go, fake.go and demo_test.go, which need recorded
// requests that are internal to this module, and without the three lines of run that call demo.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/go-affinity/affinity/extract"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// Bodies are most of what is allocated, and few of them live at a time:
		// a heap of some MB would be collected many times a second.
		debug.SetGCPercent(400)
	}
	signaled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	context.AfterFunc(signaled, func() { stop(); cancel() }) // from then on, a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stdout)
	if err != nil {
		return err
	}
	if o.demo {
		return demo(ctx, stdout, extract.Default())
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	stdlog.SetOutput(io.Discard) // package http tells there, and quotes, what an upstream sends beyond its answer
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	g, err := newGateway(o, extract.Default(), log, nil)
	if err != nil {
		return err
	}
	defer g.close()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer close(hup)
	defer signal.Stop(hup)
	go func() {
		for range hup {
			if err := g.reload(); err != nil {
				log.Error("not reloaded", "error", err)
			}
		}
	}()
	servers := []*http.Server{newServer(o.listen, g, log)}
	if o.admin != "" {
		servers = append(servers, newServer(o.admin, g.admin(), log))
	}
	return serve(ctx, log, servers, &g.busy)
}

// newServer sets no limit to how long a request may take, since prompts are long, and
// streams longer. But a client that stops in the middle of a request is given up, and
// by a listener one that stops in the middle of its answer. A header may be many times as
// long as clients send, but not a megabyte: with our keys in place of a client's, it may
// become several times as long.
func newServer(addr string, h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           requireArrival(h),
		ReadHeaderTimeout: stalled,
		MaxHeaderBytes:    128 << 10,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// grace is how long streams may go on after the signal to stop.
const grace = 30 * time.Second

// serve runs the servers, that for clients and perhaps that of the admin page,
// until ctx ends or one of them fails. Then it waits for those who are busy.
func serve(ctx context.Context, log *slog.Logger, servers []*http.Server, busy *sync.WaitGroup) error {
	listeners := make([]net.Listener, len(servers))
	for i, s := range servers {
		l, err := net.Listen("tcp", s.Addr)
		if err != nil {
			advice := "want an address of this machine, such as 127.0.0.1:8080"
			if errors.Is(err, syscall.EADDRINUSE) {
				advice = "stop the program that listens there, or choose another address"
			}
			return fmt.Errorf("%s: %w: %s", []string{"-listen", "-admin"}[i], err, advice)
		}
		defer l.Close()
		listeners[i] = listener{l}
	}
	failed := make(chan error, len(servers))
	for i, s := range servers {
		go func() { failed <- s.Serve(listeners[i]) }()
		log.Info("listening", "for", []string{"clients", "admin"}[i], "addr", listeners[i].Addr().String())
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
	// Shutdown does not know of connections that have switched protocols.
	idle := make(chan struct{})
	go func() { busy.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	return err
}
