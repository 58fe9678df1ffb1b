package extract

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
)

// DefaultBodyLimit is how many bytes of a body [FromHTTP] reads unless told otherwise.
const DefaultBodyLimit = 32 << 20

// A Request is what extractors look at. Fill in what there is, or use
// [FromHTTP]; the zero Request names no session.
//
// Several goroutines may run extractors on one Request, and call its methods, at once. From
// the first such run or call on, Header, Body, Path and Metadata must not change: the Body is
// read when an extractor first asks for it, and what was found is kept for all others, by
// where it is. So if the body is rewritten for an upstream, leave here what the client sent.
// A Body that arrives after the headers may be set once it is complete: nothing is kept of an
// empty one.
//
// Do not copy a Request; pass a pointer to it. Nor log one: it holds ids, credentials and
// prompts as they came.
type Request struct {
	// Header holds the HTTP headers. Those that name a session, describe it or hold a
	// credential are found whatever the case of their names, so a map that was not filled
	// in by net/http will do. A name in canonical form takes precedence over other
	// spellings of it. Do not mix them: if Content-Type, the header of the session or a
	// credential is in canonical form, all names must be.
	Header http.Header

	// Body is the JSON text of the request, decompressed. A Body that is not
	// one JSON object counts as none; see the package documentation for how that is
	// checked.
	Body []byte

	// Scope is what session ids are unique within: a tenant, or a tenant and a provider.
	// Requests of different scopes never belong to one session. The caller chooses it,
	// from what it has authenticated, and must always spell it the same: "gpt-5" and
	// "openai/gpt-5" are two scopes.
	//
	// Whatever goes into the scope may split a conversation. Think twice before adding the
	// model, since agents use several in one session. But add the name of the pool where
	// models have upstreams of their own: there, no home serves all models of a session,
	// and it would move at every change of model.
	Scope string

	// Method and Path are those of the HTTP request, Path without the query.
	// They tell calls that are not turns of a conversation from those that are,
	// and name state on the server (GET /v1/responses/{id}).
	Method, Path string

	// Metadata is what the caller knows from elsewhere, such as the query, the handshake
	// of a WebSocket or a message queue. Only the extractors of the function Metadata look
	// at it, and Default has none of them. Copy what is meant as HTTP headers, such as gRPC
	// metadata, to Header instead (with Add, so that an extractor of yours finds it with
	// Get).
	Metadata map[string]string

	// What was found out about Header.
	spellingChecked atomic.Bool // checkSpelling has set oddSpelling
	oddSpelling     atomic.Bool // some name is not in canonical form
	noClassHeader   atomic.Bool // no header is one of classHeaders, or none says a class
	noSessionHeader atomic.Bool // no header names a session, as far as Headers knows

	// What was found out about Body.
	index   index
	trailed atomic.Pointer[trail]      // see Request.trail
	cuts    atomic.Pointer[[]Boundary] // see Request.Boundaries
	state   atomic.Pointer[[]string]   // see Request.Pins
}

// FromHTTP returns the Request for r with its headers and, of a body of up to
// limit bytes, its body. A limit of 0 or less means DefaultBodyLimit.
//
// It reads the body and puts in its place a reader that starts over, so a proxy can send
// r on as it came. If there is a body and it was read whole, r.GetBody is set as well. A
// gzip Content-Encoding is undone for the Request, but not for the proxy, and a byte
// order mark, past which some upstreams read, is left out of the Request. A body that is
// larger than limit (compressed or not), has another encoding or is damaged is left out,
// too: sessions are then known by their headers alone. Memory is bounded by three times
// the limit. The body of a CONNECT, such as that of a WebSocket over HTTP/2, is a tunnel,
// and is not read.
//
// FromHTTP waits for the body, up to limit. Where large ones are to pass as they come, ask
// with the headers first, as in the example Headers of affinity.Selector.Peek.
//
// Call it once, and keep the Request for when r is tried again: after r has been sent, a
// second call would find an empty body, and put that in place of the real one.
//
// Header is that of r, not a copy. So set headers for an upstream on a clone of r, such
// as httputil.ReverseProxy makes. Otherwise a retry comes with the upstream's credential
// and so, with [Credential], from another tenant.
//
// The error is that of reading the body from the client, who may still wait for an answer:
// the body may be malformed, too slow for the server's ReadTimeout or longer than an
// http.MaxBytesReader lets through. The Request is good even then, without a body.
func FromHTTP(r *http.Request, limit int64) (*Request, error) {
	if limit <= 0 {
		limit = DefaultBodyLimit
	}
	limit = min(limit, math.MaxInt64-1) // so that limit+1 does not overflow
	req := &Request{Header: r.Header, Method: r.Method}
	if r.URL != nil {
		req.Path = r.URL.Path
	}
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength > limit || r.Method == http.MethodConnect {
		return req, nil
	}
	from := r.Body
	data, err := readUpTo(from, limit, r.ContentLength)
	switch {
	case err != nil:
		r.Body = replay{io.MultiReader(bytes.NewReader(data), failing{err}), from}
		return req, fmt.Errorf("extract: reading the request's body: %w", err)
	case int64(len(data)) > limit:
		r.Body = replay{io.MultiReader(bytes.NewReader(data), from), from}
		return req, nil
	}
	r.Body = replay{bytes.NewReader(data), from}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	req.Body = bytes.TrimPrefix(decode(r.Header, data, limit), []byte("\ufeff"))
	return req, nil
}

// readUpTo reads r to its end, but no more than limit+1 bytes: if there are so many, r is
// too long. The announced size, up to 1 MB, is only a first guess at how much memory to
// allocate, which is never more than limit+1 bytes.
func readUpTo(r io.Reader, limit, size int64) ([]byte, error) {
	data := make([]byte, 0, min(max(size, 511), limit, 1<<20)+1)
	for int64(len(data)) <= limit {
		if len(data) == cap(data) {
			data = append(make([]byte, 0, min(2*int64(cap(data)), limit+1)), data...)
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return data, err
		}
	}
	return data, nil
}

// decode undoes the content encoding of a body. It returns nil if it cannot, or if the
// text is longer than limit.
func decode(h http.Header, data []byte, limit int64) []byte {
	switch strings.ToLower(strings.TrimSpace(strings.Join(h["Content-Encoding"], ","))) {
	case "", "identity":
		return data
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil
		}
		text, err := readUpTo(z, limit, 4*int64(len(data)))
		if err != nil || int64(len(text)) > limit {
			return nil
		}
		return text
	}
	return nil
}

// A replay is the body that FromHTTP leaves behind: it reads what was read already and then
// what is left, and closes the original.
type replay struct {
	io.Reader
	io.Closer
}

// failing is a reader that always fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
