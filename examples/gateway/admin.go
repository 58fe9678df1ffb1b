package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-affinity/affinity"
)

// admin returns the handler of the admin page. It shows no id, key or prompt.
func (g *gateway) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", g.page)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(g.status())
	})
	mux.HandleFunc("POST /reload", func(w http.ResponseWriter, r *http.Request) {
		if err := g.reload(); err != nil {
			reply(w, http.StatusConflict, "not_reloaded", err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PUT /targets/{name}/drain", g.target(func(w http.ResponseWriter, r *http.Request, s *setup, name string) {
		var until time.Time
		if text := r.FormValue("for"); text != "" {
			d, err := time.ParseDuration(text)
			if err != nil || d <= 0 {
				reply(w, http.StatusBadRequest, "bad_duration", "want ?for=DURATION, such as 30m, or no ?for= for no deadline")
				return
			}
			until = time.Now().Add(d)
		}
		s.sel.Drain(name, until)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("DELETE /targets/{name}/drain", g.target(func(w http.ResponseWriter, r *http.Request, s *setup, name string) {
		s.sel.Resume(name)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("DELETE /targets/{name}", g.target(func(w http.ResponseWriter, r *http.Request, s *setup, name string) {
		s.sel.InvalidateTarget(name)
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("POST /targets/{name}/move", g.target(func(w http.ResponseWriter, r *http.Request, s *setup, name string) {
		g.move(w, r, s, func(b affinity.Binding) bool { return b.Target == name })
	}))
	mux.HandleFunc("DELETE /{kind}/{digest}", g.digest(func(w http.ResponseWriter, r *http.Request, s *setup, match func(affinity.Binding) bool) {
		if s.sel.Cache().DeleteFunc(func(_ affinity.Key, b affinity.Binding) bool { return match(b) }) == 0 {
			reply(w, http.StatusNotFound, "no_such_session", "no binding has these digits: it may have expired")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	mux.HandleFunc("POST /{kind}/{digest}/move", g.digest(g.move))
	return local(http.NewCrossOriginProtection().Handler(mux)) // nobody else's page has a say
}

// local refuses, on an address of this machine alone, whoever comes by another name:
// somebody else's page can let its own name lead here (DNS rebinding).
func local(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		name := (&url.URL{Host: r.Host}).Hostname()
		if at != nil && at.IP.IsLoopback() && name != "localhost" && name != "" && net.ParseIP(name) == nil {
			reply(w, http.StatusForbidden, "wrong_host", "want localhost or an IP address as the host")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// target is a handler of what concerns the upstream in the path: one of the configuration, or
// one that has left drains or bindings behind.
func (g *gateway) target(do func(http.ResponseWriter, *http.Request, *setup, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, name := g.setup.Load(), r.PathValue("name")
		if _, drained := s.sel.Drained()[name]; s.find(name) == nil && !drained && s.sel.Counts()[name] == 0 {
			reply(w, http.StatusNotFound, "no_such_target", "there is no upstream of that name, and no drain or binding is left of one: /status lists those that there are")
			return
		}
		do(w, r, s, name)
	}
}

// digest is a handler of what concerns the session whose 16 digits are in the
// path, or all of a scope, which is the first six of them.
func (g *gateway) digest(do func(http.ResponseWriter, *http.Request, *setup, func(affinity.Binding) bool)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		digits := r.PathValue("digest")
		var match func(affinity.Binding) bool
		switch r.PathValue("kind") {
		case "sessions":
			d, err := affinity.ParseDigest(digits)
			if err != nil {
				reply(w, http.StatusBadRequest, "bad_digest", "want the 16 digits of an Affinity-Session header")
				return
			}
			match = func(b affinity.Binding) bool { return b.Session == d }
		case "scopes":
			if _, err := hex.DecodeString(digits); err != nil || len(digits) != 6 {
				reply(w, http.StatusBadRequest, "bad_digest", "want the first 6 digits of an Affinity-Session header")
				return
			}
			d, _ := affinity.ParseDigest(digits + "0000000000")
			match = func(b affinity.Binding) bool { return b.Scope == d }
		default:
			http.NotFound(w, r)
			return
		}
		do(w, r, g.setup.Load(), match)
	}
}

// move gives the sessions that match to the upstream ?to= and says how many.
func (g *gateway) move(w http.ResponseWriter, r *http.Request, s *setup, match func(affinity.Binding) bool) {
	to := r.FormValue("to")
	if s.find(to) == nil {
		reply(w, http.StatusBadRequest, "no_such_target", "want ?to=NAME, the name of an upstream: /status lists them")
		return
	}
	n := s.sel.Cache().MoveFunc(to, func(_ affinity.Key, b affinity.Binding) bool { return match(b) })
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]int{"moved": n})
}

// page shows the status to people.
func (g *gateway) page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	s := g.status()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "upstream\tstate\tbindings\trequests\tfailures\tof requests\tof cost\tcached\tbegins in\turl")
	for _, u := range s.Upstreams {
		state := u.State
		if !u.OutUntil.IsZero() {
			state = "out until " + u.OutUntil.Format(time.TimeOnly)
		}
		if u.Draining {
			state += ", draining"
		}
		if !u.DrainEnds.IsZero() {
			state += " until " + u.DrainEnds.Format(time.TimeOnly)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%.0f ms\t%s\n", u.Name, state, u.Bindings, u.Requests, u.Failures,
			percent(u.RequestShare, 1), percent(u.CostShare, 1), percent(u.Cached, u.Cached+u.Uncached), max(u.StreamMS, u.WholeMS), u.URL)
	}
	fmt.Fprintln(t, "\nreason\tselections")
	for _, r := range slices.Sorted(maps.Keys(g.setup.Load().sel.Stats().Selected)) {
		fmt.Fprintf(t, "%s\t%d\n", r, s.Reasons[r.String()])
	}
	fmt.Fprintf(t, "all\t%d\n", s.Selections)
	fmt.Fprintf(t, "\nbindings lost for want of -capacity\t%d\n", s.Evicted)
	t.Flush()
}
