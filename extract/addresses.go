package extract

import (
	"bytes"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// addressSum is textSum for what may be the address of a picture. If that is signed, it leaves out
// the signature and what goes with it, since some clients sign anew for each request. All else
// counts: it may say which version of the picture is meant, or which picture.
func (t *trail) addressSum(raw []byte) (h uint64) {
	withPlain(raw, func(text []byte, _ bool) {
		path, query := cutAddress(text)
		signature := t.signatureIn(path, query)
		if signature == "" {
			h = xxhash.Sum64(text)
			return
		}
		var d xxhash.Digest
		d.Reset()
		d.Write(path)
		for len(query) > 0 && t.moreMembers() {
			var param []byte
			param, query, _ = bytes.Cut(query, []byte("&"))
			if name, _, _ := bytes.Cut(param, []byte("=")); signatureWith(name) != signature {
				d.Write([]byte("&"))
				d.Write(param)
			}
		}
		h = d.Sum64()
	})
	return h
}

// cutAddress returns the path and the query of an address. Both are empty if a plain text is none,
// such as words that begin with an address, or several addresses.
func cutAddress(text []byte) (path, query []byte) {
	if !bytes.HasPrefix(text, []byte("http")) {
		return nil, nil
	}
	path, query, _ = bytes.Cut(text, []byte("?"))
	for _, c := range query {
		if c <= ' ' || c == '\\' || c == '#' || c >= utf8.RuneSelf {
			return nil, nil
		}
	}
	if bytes.Contains(query, []byte("://")) {
		return nil, nil
	}
	return path, query
}

// signatureIn returns the name of the signature in the query of an address, or "" if there is none.
func (t *trail) signatureIn(path, query []byte) string {
	azure, supabase := bytes.Contains(query, []byte("sv=")), bytes.Contains(path, []byte("/object/sign/"))
	for rest := query; len(rest) > 0 && t.moreMembers(); {
		var param []byte
		param, rest, _ = bytes.Cut(rest, []byte("&"))
		name, _, _ := bytes.Cut(param, []byte("="))
		signature := signatureWith(name)
		if signature != "" && signature == string(name) && (signature != "sig" || azure) && (signature != "token" || supabase) {
			return signature
		}
	}
	return ""
}

// signatureWith returns the name of the signature that a parameter of an address goes with, which
// may be itself, or "" if there is none.
func signatureWith(name []byte) string {
	switch string(name) {
	case "Signature", "Expires", "Policy", "Key-Pair-Id", // CloudFront, and others before
		"AWSAccessKeyId", "x-amz-security-token", "GoogleAccessId", "OSSAccessKeyId", "security-token", "AccessKeyId":
		return "Signature"
	case "sig", "sv", "ss", "srt", "sr", "sp", "st", "se", "si", "sip", "spr", "skoid", "sktid", "skt", "ske", "sks", "skv": // Azure
		return "sig"
	case "x-oss-signature", "x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-security-token": // Alibaba
		return "x-oss-signature"
	case "x-cos-security-token": // Tencent
		return "q-signature"
	case "token": // Supabase
		return "token"
	case "x-id": // S3
		return "X-Amz-Signature"
	}
	switch {
	case bytes.HasPrefix(name, []byte("X-Amz-")):
		return "X-Amz-Signature"
	case bytes.HasPrefix(name, []byte("X-Goog-")):
		return "X-Goog-Signature"
	case bytes.HasPrefix(name, []byte("X-Tos-")):
		return "X-Tos-Signature"
	case bytes.HasPrefix(name, []byte("q-")):
		return "q-signature"
	}
	return ""
}
