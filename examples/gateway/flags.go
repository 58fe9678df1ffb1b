package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// options are what the flags say.
type options struct {
	listen, admin string
	upstreams     []*upstream // at the start; see setup for the present ones
	fixed         []string    // what flags say of some of them
	file          string      // says the others
	ttl           time.Duration
	capacity      int
	bodyLimit     int64
	cooldown      time.Duration
	patience      time.Duration
	hold          time.Duration // how long a response's headers wait for it to begin
	slow          float64
	failover      affinity.FailoverPolicy
	prefix        bool
	verbose, demo bool
}

// maxSlow is the largest -slow. What it makes of the longest answers must still be a
// time.Duration.
const maxSlow = 1000

// parse reads the flags. Asked for help, it writes it to stdout and returns
// flag.ErrHelp.
func parse(args []string, stdout io.Writer) (options, error) {
	o := options{hold: 10 * time.Second, failover: affinity.FailoverReturn}
	f := flag.NewFlagSet("gateway", flag.ContinueOnError)
	f.SetOutput(io.Discard) // an error is one line, without the whole usage
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` to serve clients on")
	f.StringVar(&o.admin, "admin", "", "`address` to serve the admin page on, to whoever can reach it (default none)")
	// Looked at below: package flag would show what is in a faulty one, and
	// that may be a password.
	f.Func("upstream", "an upstream as `name=url[,key-env=VARIABLE|,key-file=FILE]`; one flag for each. It gets the credential in the variable or file in place of the client's", func(s string) error {
		o.fixed = append(o.fixed, s)
		return nil
	})
	f.StringVar(&o.file, "upstreams", "", "`file` with more upstreams, one to a line; read again, as key files are, at SIGHUP and POST /reload")
	f.DurationVar(&o.ttl, "ttl", affinity.DefaultTTL, "how long a conversation is remembered after its last request")
	f.IntVar(&o.capacity, "capacity", affinity.DefaultCapacity, "how many `bindings` are remembered at most: one for each conversation known by an id, a few for each other")
	f.Int64Var(&o.bodyLimit, "body-limit", extract.DefaultBodyLimit, "the largest body, in `bytes`, that is kept to find its conversation and to try again")
	f.DurationVar(&o.cooldown, "cooldown", 10*time.Second, "how long an upstream is left out if it fails again and again and does not say for how long; at first an eighth of that")
	f.DurationVar(&o.patience, "patience", 15*time.Second, "how long a request waits for an upstream if none takes it")
	f.Float64Var(&o.slow, "slow", 4, "give only single requests to an upstream that takes so many `times` as long as others to begin its answers, and more than 1s (3s if they are not streamed), until it no longer does; 0: never")
	f.BoolVar(&o.prefix, "prefix", false, "place new conversations where most of the prompt is cached, not by work alone")
	f.Func("failover", "`policy` for a conversation whose upstream is out: rebind keeps it at the one that serves, return brings it back later (default return)", func(s string) error {
		switch s {
		case "rebind":
			o.failover = affinity.FailoverRebind
		case "return":
			o.failover = affinity.FailoverReturn
		default:
			return errors.New("want rebind or return")
		}
		return nil
	})
	f.BoolVar(&o.verbose, "v", false, "log every request that is passed on")
	f.BoolVar(&o.demo, "demo", false, "replay requests of real clients against fake upstreams and show what is saved")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "usage: gateway -upstream name=url [-upstream name=url]... [flags]\n       gateway -upstreams file [flags]\n       gateway -demo\n\n")
		f.SetOutput(stdout)
		f.PrintDefaults()
		return o, err
	case err != nil:
		return o, fmt.Errorf("%w (see -help)", err)
	}
	var err error
	if o.upstreams, err = readUpstreams(o.file, o.fixed); err != nil {
		return o, err
	}
	for _, rule := range []struct {
		broken  bool
		message string
	}{
		// Not what it is: it may be meant for -upstream.
		{f.NArg() > 0, fmt.Sprintf("argument %d belongs to no flag: give flags only (see -help)", len(args)-f.NArg()+1)},
		{o.demo && f.NFlag() > 1, "-demo takes no other flag: give it alone"},
		{!o.demo && len(o.upstreams) == 0, "no upstream: give -upstream name=url at least once, or -upstreams file, or try -demo"},
		{o.listen == "", "-listen must be an address, such as 127.0.0.1:8080"}, // package net would take any port, on all addresses
		{o.ttl <= 0, "-ttl must be positive, such as 1h"},
		{o.capacity <= 0, "-capacity must be positive"},
		{o.bodyLimit <= 0, "-body-limit must be positive"},
		{o.cooldown <= 0, "-cooldown must be positive, such as 10s"},
		{o.patience < 0, "-patience must not be negative"},
		{o.slow != 0 && !(o.slow > 1 && o.slow <= maxSlow), fmt.Sprintf("-slow must be more than 1 and at most %d, or 0 for never", maxSlow)},
	} {
		if rule.broken {
			return o, errors.New(rule.message)
		}
	}
	return o, nil
}

// readUpstreams returns the fixed upstreams and those that the file names, if
// there is one. Keys that are in files are read anew.
func readUpstreams(file string, fixed []string) ([]*upstream, error) {
	lines := slices.Clone(fixed)
	var numbers []int // of those that come from the file
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("-upstreams: want a file with lines such as a=https://host-a: %w", reason(err))
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines, numbers = append(lines, line), append(numbers, number)
			}
		}
		if len(lines) == 0 {
			return nil, errors.New("-upstreams: there is none in the file: want lines such as a=https://host-a")
		}
	}
	var all []*upstream
	for i, line := range lines {
		u, err := parseUpstream(line)
		if err == nil && slices.ContainsFunc(all, func(o *upstream) bool { return o.name == u.name }) {
			err = fmt.Errorf("there are two upstreams called %q: give each a name of its own", u.name)
		}
		if err != nil && i >= len(fixed) {
			err = fmt.Errorf("%w (in line %d of the file of -upstreams)", err, numbers[i-len(fixed)])
		}
		if err != nil {
			return nil, err
		}
		all = append(all, u)
	}
	return all, nil
}

// reason is why a file could not be read, without its name: that may be a secret in
// the wrong place.
func reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// parseUpstream reads name=url[,key-env=VARIABLE|,key-file=FILE]. Its errors do not quote
// what may be secret, such as a credential in place of where it is.
func parseUpstream(s string) (*upstream, error) {
	name, rest, ok := strings.Cut(s, "=")
	if !ok || name == "" || strings.Contains(name, ":") {
		return nil, errors.New("-upstream: want name=url, as in a=https://host-a")
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }) {
		return nil, fmt.Errorf("-upstream: the name %q must be printable and without spaces and slashes", name)
	}
	address, option, hasOption := strings.Cut(rest, ",")
	u, err := url.Parse(address)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return nil, fmt.Errorf("-upstream %s: want an http or https URL, as in %[1]s=https://host-a", name)
	case len(u.Port()) > 5 || len(u.Port()) == 5 && u.Port() > "65535":
		return nil, fmt.Errorf("-upstream %s: the port must be a number up to 65535, as in %[1]s=http://host-a:8080", name)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("-upstream %s: the URL must end with its path and hold no password: "+
			"put the credential into an environment variable and add ,key-env=VARIABLE, or into a file and add ,key-file=FILE", name)
	}
	up := &upstream{name: strings.Clone(name), url: u} // not the part of all that was read, which would stay in memory
	if !hasOption {
		return up, nil
	}
	kind, place, _ := strings.Cut(option, "=")
	switch {
	case kind == "key-env" && place != "":
		up.key = os.Getenv(place)
	case kind == "key-file" && place != "":
		key, err := os.ReadFile(place)
		if err != nil {
			return nil, fmt.Errorf("-upstream %s: key-file must name a file that can be read: %w", name, reason(err))
		}
		up.key = string(key)
	default:
		return nil, fmt.Errorf("-upstream %s: all that may follow the URL is ,key-env=VARIABLE or ,key-file=FILE", name)
	}
	if up.key = strings.TrimSpace(up.key); up.key == "" {
		return nil, fmt.Errorf("-upstream %s: what %s names holds no credential: put it there, or leave out %[2]s", name, kind)
	}
	if strings.ContainsFunc(up.key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("-upstream %s: what %s names holds more than a credential: no spaces or control characters", name, kind)
	}
	return up, nil
}
