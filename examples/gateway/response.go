package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// Headers that tell the client what was decided.
const (
	sessionHeader = "Affinity-Session"
	targetHeader  = "Affinity-Target"
	reasonHeader  = "Affinity-Reason"
)

// label writes what was decided into the headers of a response.
func label(h http.Header, choice *selection) {
	h[targetHeader] = []string{choice.ID}
	h[reasonHeader] = []string{choice.Reason.String()}
	delete(h, sessionHeader)
	if s := choice.Session.String(); s != "" {
		h[sessionHeader] = []string{s}
	}
}

// follow watches the body of a response: how it ends is the outcome, it tells
// the usage, and the state that it names is at this upstream. The result is nil
// if there is nothing to read.
func (g *gateway) follow(ctx context.Context, resp *http.Response, x *exchange) *followed {
	body := &followed{ReadCloser: resp.Body}
	outcome := affinity.OutcomeOf(resp.StatusCode, nil)
	body.end = func(err error) {
		o := outcome
		o.Usage = body.reading.usage()
		switch {
		case ctx.Err() != nil: // the client left: that says nothing
			g.neutral(x, o.Usage)
		case err != nil:
			o.Result = affinity.TransientFailure
			g.failed(x, o, trouble{pause: g.cooldown, why: "broke off", mine: x.hungUp()})
		case body.reading != nil && body.reading.failed:
			var t trouble
			if t, o.Result = g.told(x, body.reading.kind); o.Result == affinity.Neutral {
				g.done(x, o)
				return
			}
			g.failed(x, o, t)
		default:
			g.done(x, o)
		}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if w, ok := resp.Body.(oneWay); ok {
			resp.Body = upgraded{body, w}
		}
		return nil
	}
	if outcome.Result == affinity.Served && resp.Request.Method == http.MethodPost {
		body.events = strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
		body.reading = newReading(body.events)
	}
	if outcome.Result == affinity.Served {
		body.listen(resp, x.choice.Learn)
	}
	resp.Body = body
	return body
}

// followed is the body of a response. It reads what passes by, and tells how it
// ended, once.
type followed struct {
	io.ReadCloser
	events  bool        // it is a stream of events
	reading *reading    // nil if there is nothing to read
	tap     io.Writer   // what reads it
	seen    int         // how much was written to it that nobody has read yet
	passed  []byte      // what was read that was not written to it yet
	end     func(error) // is told why it ended: nil at its end, or if it was closed before
	once    sync.Once
}

// listen lets f read the response: for its usage, if there is a reading, and
// for the state that it names, which learn is told, if its API keeps any.
func (f *followed) listen(resp *http.Response, learn func(id string)) {
	if encoded(resp.Header) {
		return
	}
	if f.reading != nil {
		f.tap = f.reading
	}
	if keepsState(resp.Request.URL.Path, resp.Request.Header) {
		states := extract.NewStateReader(learn)
		if f.tap != nil {
			f.tap = io.MultiWriter(f.tap, states)
		} else {
			f.tap = states
		}
	}
}

// encoded reports whether an answer cannot be read on the way, though that was asked for.
func encoded(h http.Header) bool {
	coding := h.Get("Content-Encoding")
	return coding != "" && !strings.EqualFold(coding, "identity")
}

// failed reports whether the response says that the upstream has failed, as far
// as it was read.
func (f *followed) failed() bool {
	return f.reading != nil && f.reading.failed && severity(f.reading.kind) != affinity.Neutral
}

// foresee reads what comes next before it is asked for.
func (f *followed) foresee(p []byte) {
	if f.tap != nil {
		f.tap.Write(p)
		f.seen = len(p)
	}
}

// Read leaves reading what it returns to the next call: by then the client has it.
func (f *followed) Read(p []byte) (int, error) {
	f.catchUp()
	n, err := f.ReadCloser.Read(p)
	if f.tap != nil {
		if f.seen < n {
			f.passed = append(f.passed, p[f.seen:n]...)
		}
		f.seen = max(0, f.seen-n)
	}
	switch {
	case err == io.EOF:
		f.finish(nil)
	case err != nil:
		f.finish(err)
	}
	return n, err
}

func (f *followed) catchUp() {
	if len(f.passed) > 0 {
		f.tap.Write(f.passed)
		f.passed = f.passed[:0]
	}
}

// Close tells the end first: a Read that fails because of it is no failure.
func (f *followed) Close() error {
	f.finish(nil)
	return f.ReadCloser.Close()
}

func (f *followed) finish(err error) {
	f.once.Do(func() {
		if f.tap != nil {
			f.catchUp()
			f.tap = nil // what is left is read for nobody
		}
		f.end(err)
	})
}

// upgraded is the body of a response that switched protocols: ReverseProxy writes to it
// too, and tells when the client has said all that it will say.
type upgraded struct {
	*followed
	oneWay
}

type oneWay interface {
	io.Writer
	CloseWrite() error
}
