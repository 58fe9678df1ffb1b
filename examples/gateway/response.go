package main

import (
	"context"
	"io"
	"maps"
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
// the usage, and the state that it names is at this upstream.
func (g *gateway) follow(ctx context.Context, resp *http.Response, x *exchange) *followed {
	body := &followed{ReadCloser: resp.Body, original: resp, answer: *resp}
	body.answer.Body, body.answer.Trailer = body, maps.Clone(resp.Trailer)
	outcome := affinity.OutcomeOf(resp.StatusCode, nil)
	body.end = func(err error) {
		o := outcome
		o.Usage = body.reading.usage()
		switch {
		case ctx.Err() != nil || x.upload.broken(): // the client left, or sends nonsense: that says nothing
			g.neutral(x, o.Usage)
		case err != nil:
			o.Result = affinity.TransientFailure
			g.failed(x, o, trouble{why: "broke off", mine: x.hungUp()})
		case body.reading != nil && body.reading.failed:
			var t trouble
			if t, o.Result = x.told(body.reading.kind); o.Result == affinity.Neutral {
				g.done(x, o, false)
				return
			}
			g.failed(x, o, t)
		default:
			g.done(x, o, false)
		}
	}
	body.oneWay, _ = resp.Body.(oneWay)
	if outcome.Result != affinity.Served || resp.StatusCode == http.StatusSwitchingProtocols {
		return body
	}
	post := resp.Request.Method == http.MethodPost
	body.events = post && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
	if encoded(resp.Header) {
		return body
	}
	var taps []io.Writer
	if post {
		body.reading = newReading(body.events)
		taps = append(taps, body.reading)
	}
	if left := leaves(resp.Request.URL.Path, resp.Request.Header, x.req.Body); left != nil {
		taps = append(taps, extract.NewStateReader(func(id string) {
			if left(id) {
				x.choice.Learn(id)
			}
		}))
	}
	if len(taps) > 0 {
		body.tap = io.MultiWriter(taps...)
	}
	return body
}

// followed is the body of a response. It reads what passes by, and tells how it
// ended, once.
type followed struct {
	io.ReadCloser
	oneWay                  // of one that switched protocols
	original *http.Response // whose trailer package http writes while it is read, whoever does,
	answer   http.Response  // and what is passed on, which has it when all of it was read
	events   bool           // it is a stream of events
	reading  *reading       // nil if there is nothing to read
	tap      io.Writer      // is told what comes, once, if anybody is
	passed   []byte         // has come, and it was not told yet
	buf      []byte         // from the pool; nil if it was given back
	ahead    []byte         // has come before it was asked for, often into buf,
	err      error          // and this after it
	next     chan portion   // gets what readAhead is reading; nil if that is nothing
	end      func(error)    // is told why it ended: nil at its end, or if it was closed before
	once     sync.Once
}

// oneWay is the other direction of a connection that switched protocols: ReverseProxy writes
// there, and tells when the client has said all that it will say.
type oneWay interface {
	io.Writer
	CloseWrite() error
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

// Read leaves telling tap what it returns to the next call: by then the client has it.
func (f *followed) Read(p []byte) (n int, err error) {
	f.catchUp()
	if len(f.ahead) == 0 && f.next != nil {
		f.came(<-f.next)
	}
	if len(f.ahead) > 0 {
		n = copy(p, f.ahead)
		f.ahead = f.ahead[n:]
		return n, nil
	}
	if f.buf != nil {
		buffers.Put(f.buf)
		f.buf, f.ahead = nil, nil
	}
	if err = f.err; err == nil {
		n, err = f.ReadCloser.Read(p)
		if f.tap != nil {
			f.passed = append(f.passed, p[:n]...)
		}
	}
	if err != nil {
		f.answer.Trailer = f.original.Trailer
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

// CloseWrite tells the end, too: what becomes of a connection that the client has left says
// nothing.
func (f *followed) CloseWrite() error {
	f.finish(nil)
	return f.oneWay.CloseWrite()
}

func (f *followed) finish(err error) {
	f.once.Do(func() {
		if err == io.EOF {
			err = nil
		}
		if f.tap != nil {
			f.catchUp()
			f.tap = nil // what is left is read for nobody
		}
		f.end(err)
	})
}
