package main

import (
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/go-affinity/affinity"
	"github.com/go-affinity/affinity/extract"
)

// followed is the body of a response. It reads what passes by, and tells how it
// ended, once.
type followed struct {
	io.ReadCloser
	events  bool     // it is a stream of events
	reading *reading // nil if there is nothing to read
	tap     io.WriteCloser
	plain   bool        // what was written to tap was read
	seen    int         // how much was written to it and not been asked for yet
	passed  []byte      // what was asked for and not been written to it yet
	end     func(error) // nil at its end, or closed before
	once    sync.Once
}

// listen lets f read the response: for its usage, if there is a reading, and
// for the state that it names, which learn is told, if its API keeps any.
func (f *followed) listen(resp *http.Response, learn func(id string)) {
	var to io.Writer
	if f.reading != nil {
		to = f.reading
	}
	if keepsState(resp.Request.URL.Path, resp.Request.Header) {
		states := extract.NewStateReader(learn)
		if to != nil {
			to = io.MultiWriter(to, states)
		} else {
			to = states
		}
	}
	if to == nil {
		return
	}
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "", "identity":
		f.tap, f.plain = asIs{to}, true
	case "gzip", "x-gzip":
		f.tap = newGunzip(to)
	}
}

type asIs struct{ io.Writer }

func (asIs) Close() error { return nil }

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
			f.tap.Close()
			f.tap = nil // what is left is read for nobody
		}
		f.end(err)
	})
}

// upgraded is the body of a response that switched protocols: ReverseProxy
// writes to it too.
type upgraded struct {
	*followed
	io.Writer
}

// gunzip is written what is compressed, and writes what is not.
type gunzip struct {
	*io.PipeWriter
	done chan struct{}
}

// maxPlain bounds how much of a compressed response is read: what is larger is
// a trap.
const maxPlain = 64 << 20

var unzippers sync.Pool // of *gzip.Reader

func newGunzip(to io.Writer) *gunzip {
	r, w := io.Pipe()
	g := &gunzip{PipeWriter: w, done: make(chan struct{})}
	go func() {
		defer close(g.done)
		z, _ := unzippers.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		if z.Reset(r) == nil {
			io.CopyN(to, z, maxPlain)
		}
		r.Close() // what else comes is of no interest
		unzippers.Put(z)
	}()
	return g
}

// Close waits until all is read.
func (g *gunzip) Close() error {
	g.PipeWriter.Close()
	<-g.done
	return nil
}

// acceptReadable asks for a response that can be read on the way: if the client
// takes gzip, in that, and else as it is.
func acceptReadable(h http.Header) {
	encoding := "identity"
	for item := range strings.SplitSeq(strings.Join(h["Accept-Encoding"], ","), ",") {
		name, quality, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") && !unwanted(quality) {
			encoding = "gzip"
		}
	}
	h.Set("Accept-Encoding", encoding)
}

// unwanted reports whether what is behind the name of an encoding says that it is
// not wanted: a quality of 0.
func unwanted(parameter string) bool {
	value, ok := strings.CutPrefix(strings.ReplaceAll(parameter, " ", ""), "q=")
	quality, err := strconv.ParseFloat(value, 64)
	return ok && err == nil && quality == 0
}
