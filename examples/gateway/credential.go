package main

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// The headers in which the APIs take a credential. Some take it in the query, as
// a parameter, and OpenAI among the protocols of a WebSocket.
var credentialHeaders = []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"}

const (
	protocolHeader = "Sec-Websocket-Protocol"
	protocolPrefix = "openai-insecure-api-key."
)

// queryTenant is extract.Credential for the query, which an extract.Request lacks:
// whose sessions the request can name.
func queryTenant(rawQuery string) string {
	var b []byte
	mapKeys(rawQuery, func(v string) string {
		b = append(append(strconv.AppendInt(b, int64(len(v)), 10), ':'), v...)
		return v
	})
	return string(b)
}

// authorize puts key wherever the client put its credential, or if there is
// none, where the API of that path wants it.
func authorize(r *http.Request, key string) {
	found := false
	for _, name := range credentialHeaders {
		if len(r.Header[name]) > 0 {
			setCredential(r.Header, name, key)
			found = true
		}
	}
	for i, v := range r.Header[protocolHeader] {
		var protocols []byte
		for p := range strings.SplitSeq(v, ",") {
			if strings.HasPrefix(strings.TrimSpace(p), protocolPrefix) {
				p, found = " "+protocolPrefix+key, true
			}
			protocols = append(append(protocols, ','), p...)
		}
		r.Header[protocolHeader][i] = strings.TrimSpace(string(protocols[1:]))
	}
	r.URL.RawQuery = mapKeys(r.URL.RawQuery, func(string) string {
		found = true
		return url.QueryEscape(key)
	})
	if !found {
		setCredential(r.Header, credentialHeader(r.URL.Path), key)
	}
}

// withhold takes the key out of an answer that repeats what the request offered to
// speak, or its query in an address, and puts in what the client had in that place.
func withhold(answer http.Header, client *http.Request, key string) {
	mine, has := "", false // once, since both may have many
	mapKeys(client.URL.RawQuery, func(v string) string { mine, has = v, true; return v })
	for _, name := range []string{"Location", "Content-Location", "X-Goog-Upload-Url", "X-Goog-Upload-Control-Url"} { // the last two are Gemini's, of resumable uploads
		for i, location := range answer[name] {
			_, query, _ := strings.Cut(location, "?")
			query, _, _ = strings.Cut(query, "#")
			answer[name][i] = strings.Replace(location, "?"+query, "?"+mapKeys(query, func(v string) string {
				if plain, _ := url.QueryUnescape(v); has && plain == key {
					return mine
				}
				return v
			}), 1)
		}
	}
	var offered string
	for p := range strings.SplitSeq(strings.Join(client.Header[protocolHeader], ","), ",") {
		if p = strings.TrimSpace(p); strings.HasPrefix(p, protocolPrefix) {
			offered = p
			break
		}
	}
	for i, v := range answer[protocolHeader] {
		if offered != "" && strings.TrimSpace(v) == protocolPrefix+key {
			answer[protocolHeader][i] = offered
		}
	}
}

func setCredential(h http.Header, name, key string) {
	if name == "Authorization" {
		key = "Bearer " + key
	}
	h[name] = []string{key}
}

// credentialHeader returns the header that the API of the path wants.
func credentialHeader(path string) string {
	switch {
	case strings.Contains(path, "/v1/messages"):
		return "X-Api-Key"
	case strings.Contains(path, "/openai/"): // Gemini has that too
	case strings.Contains(path, "/v1beta/"), strings.HasSuffix(path, ":generateContent"), strings.HasSuffix(path, ":streamGenerateContent"):
		return "X-Goog-Api-Key"
	}
	return "Authorization"
}

// mapKeys replaces the value of every parameter that holds a key by what f returns
// for it, both as they are on the wire. The rest of the query stays to the byte,
// which url.Values would not let it.
func mapKeys(rawQuery string, f func(string) string) string {
	var mapped []byte // what stands before from
	from, at := 0, 0
	for pair := range strings.SplitSeq(rawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		plain, _ := url.QueryUnescape(name)
		switch plain {
		case "key", "access_token", "api-key": // Google, Google and Azure
			mapped = append(mapped, rawQuery[from:at]...)
			mapped = append(append(append(mapped, name...), '='), f(value)...)
			from = at + len(pair)
		}
		at += len(pair) + len("&")
	}
	if mapped == nil {
		return rawQuery
	}
	return string(append(mapped, rawQuery[from:]...))
}
