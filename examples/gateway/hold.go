package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What counts as the beginning of a body.
type beginning uint8

const (
	anything beginning = iota // what comes first
	anEvent                   // the first event of a stream
	allOfIt
)

const (
	firstEvent = 4 << 10 // how long an event may be to be read whole,
	maxWhole   = 1 << 20 // and how long a body
)

// has reports whether what was read ahead is that much.
func (f *followed) has(until beginning) bool {
	switch until {
	case allOfIt:
		return len(f.ahead) >= maxWhole
	case anEvent:
		return len(f.ahead) >= firstEvent || bytes.Contains(f.ahead, []byte("\n\n")) || bytes.Contains(f.ahead, []byte("\n\r\n")) || bytes.Contains(f.ahead, []byte("\r\r"))
	}
	return len(f.ahead) > 0
}

// A portion is what came of a Read ahead.
type portion struct {
	n   int
	err error
}

// readAhead begins to read what comes next, into the room behind what is there.
func (f *followed) readAhead() {
	f.ahead = slices.Grow(f.ahead, 1)
	f.next = make(chan portion, 1)
	go func(from io.Reader, to chan portion, room []byte) {
		n, err := from.Read(room)
		to <- portion{n, err}
	}(f.ReadCloser, f.next, f.ahead[len(f.ahead):cap(f.ahead)])
}

// came takes in what readAhead has read.
func (f *followed) came(p portion) {
	f.ahead = f.ahead[:len(f.ahead)+p.n]
	if f.tap != nil {
		f.tap.Write(f.ahead[len(f.ahead)-p.n:])
	}
	f.err, f.next = p.err, nil
}

// await waits until the response has really begun: a status of 200 says little,
// and while the client has nothing of the response, another upstream can still
// give a better one. It does not wait for ever, since there are clients that
// want to see a status soon. The error is that of a response that never began.
func (g *gateway) await(ctx context.Context, f *followed, until beginning) error {
	over := time.After(g.hold)
	f.buf = buffers.Get()
	f.ahead = f.buf[:0]
	for f.err == nil && !f.has(until) {
		f.readAhead()
		select {
		case p := <-f.next:
			f.came(p)
		case <-over:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.err == io.EOF && f.events && len(f.ahead) == 0 {
		f.err = io.ErrUnexpectedEOF // a stream of nothing is none
	}
	if f.err != nil && f.err != io.EOF {
		f.finish(f.err)
		return errUpstream
	}
	return nil
}

// holdable returns how much of a successful response its client can do without
// for a while: all of one that is of no use in part, as application/json is, and
// application/jsonl and application/json-seq are not.
func (x *exchange) holdable(resp *http.Response) beginning {
	kind := resp.Header.Get("Content-Type")
	media, _, _ := strings.Cut(kind, ";")
	switch {
	case strings.HasPrefix(kind, "text/event-stream") && !encoded(resp.Header): // else where an event ends does not show
		return anEvent
	case strings.TrimSpace(media) == "application/json" && (resp.ContentLength > 0 || x.asks() == whole):
		return allOfIt
	}
	return anything
}
