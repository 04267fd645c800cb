-- Requests on a bucket: HEAD, GET as ListObjectsV2 (AmazonS3/latest/API/API_ListObjectsV2), POST ?delete.
-- Every LIST runs `find`: LIST is rare in this workload, so the simple way is good enough.
local root = ngx.var.document_root
local bucket = ngx.unescape_uri(ngx.var.uri):match("^/([^/]+)/?$")

local function escape(text)
    return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local function url_encode(text)
    return (text:gsub("[^%w%-%._~/]", function(c) return string.format("%%%02X", c:byte()) end))
end

local function fail(status, code)
    ngx.status = status
    ngx.header["Content-Type"] = "application/xml"
    ngx.print('<?xml version="1.0" encoding="UTF-8"?><Error><Code>', code, "</Code></Error>")
    ngx.exit(status)
end

-- Returns every object as {key, size, seconds}, in byte order of the keys.
local function objects()
    local found = {}
    local pipe = io.popen("cd '" .. root .. "/" .. bucket .. "' && exec find . -type f -printf '%P\\t%s\\t%T@\\n'")
    for line in pipe:lines() do
        local key, size, seconds = line:match("^(.*)\t(%d+)\t(%d+)")
        found[#found + 1] = { key, size, tonumber(seconds) }
    end
    pipe:close()
    table.sort(found, function(a, b) return a[1] < b[1] end)
    return found
end

-- Splits the keys after `after` into at most `limit` entries: objects, and prefixes up to the delimiter.
local function page(prefix, delimiter, after, limit)
    local contents, prefixes, seen, last = {}, {}, {}, nil
    for _, object in ipairs(objects()) do
        local key = object[1]
        if key:sub(1, #prefix) == prefix and key > after then
            local cut = delimiter ~= "" and key:find(delimiter, #prefix + 1, true)
            local group = cut and key:sub(1, cut + #delimiter - 1)
            if not (group and (seen[group] or group == after:sub(1, #group))) then
                if #contents + #prefixes == limit then
                    return contents, prefixes, last
                end
                if group then
                    seen[group] = true
                    prefixes[#prefixes + 1] = group
                else
                    contents[#contents + 1] = object
                end
            end
            last = key
        end
    end
    return contents, prefixes, nil
end

-- Returns a query argument as text; absent, empty and valueless (`true`) are the same.
local function given(value)
    return type(value) == "string" and value or ""
end

local function list(args)
    local encode = args["encoding-type"] == "url" and url_encode or escape
    local limit = math.min(tonumber(args["max-keys"]) or 1000, 1000)
    local prefix, delimiter = given(args.prefix), given(args.delimiter)
    local token = given(args["continuation-token"])
    local after = ngx.decode_base64(token)
    if after == "" then after = given(args["start-after"]) end
    local contents, prefixes, next_key = page(prefix, delimiter, after, limit)
    local out = {
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
        "<Name>", escape(bucket), "</Name><Prefix>", encode(prefix), "</Prefix>",
        "<MaxKeys>", limit, "</MaxKeys><KeyCount>", #contents + #prefixes, "</KeyCount>",
        "<IsTruncated>", tostring(next_key ~= nil), "</IsTruncated>",
    }
    local function add(...)
        for _, part in ipairs({ ... }) do out[#out + 1] = part end
    end
    if args["encoding-type"] == "url" then add("<EncodingType>url</EncodingType>") end
    if delimiter ~= "" then add("<Delimiter>", encode(delimiter), "</Delimiter>") end
    if token ~= "" then add("<ContinuationToken>", escape(token), "</ContinuationToken>") end
    if next_key then add("<NextContinuationToken>", ngx.encode_base64(next_key), "</NextContinuationToken>") end
    for _, object in ipairs(contents) do
        add("<Contents><Key>", encode(object[1]), "</Key><LastModified>",
            os.date("!%Y-%m-%dT%H:%M:%S.000Z", object[3]),
            string.format("</LastModified><ETag>&quot;%x-%x&quot;</ETag><Size>", object[3], object[2]),
            object[2], "</Size><StorageClass>STANDARD</StorageClass></Contents>")
    end
    for _, group in ipairs(prefixes) do
        add("<CommonPrefixes><Prefix>", encode(group), "</Prefix></CommonPrefixes>")
    end
    add("</ListBucketResult>")
    ngx.header["Content-Type"] = "application/xml"
    ngx.print(out)
end

-- DeleteObjects (AmazonS3/latest/API/API_DeleteObjects): obstore uses it even for a single key.
local function delete_objects()
    ngx.req.read_body()
    local out = { '<?xml version="1.0" encoding="UTF-8"?><DeleteResult>' }
    for text in (ngx.req.get_body_data() or ""):gmatch("<Key>(.-)</Key>") do
        local key = text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&amp;", "&")
        if not key:find("..", 1, true) then
            os.remove(root .. "/" .. bucket .. "/" .. key)
            out[#out + 1] = "<Deleted><Key>" .. text .. "</Key></Deleted>"
        end
    end
    out[#out + 1] = "</DeleteResult>"
    ngx.header["Content-Type"] = "application/xml"
    ngx.print(out)
end

-- The name must fit S3's rules for bucket names before it is passed to a shell.
if not bucket or not bucket:match("^[a-z0-9][a-z0-9.-]+$") or not io.open(root .. "/" .. bucket) then
    fail(404, "NoSuchBucket")
end
local method = ngx.req.get_method()
if method == "HEAD" then
    ngx.header["x-amz-bucket-region"] = "us-east-1"
    ngx.exit(200)
elseif method == "GET" then
    local args = ngx.req.get_uri_args()
    if args.location then
        ngx.header["Content-Type"] = "application/xml"
        ngx.print('<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>')
    else
        list(args)
    end
elseif method == "POST" and ngx.req.get_uri_args().delete then
    delete_objects()
elseif method == "PUT" then
    fail(409, "BucketAlreadyOwnedByYou")
else
    fail(501, "NotImplemented")
end
