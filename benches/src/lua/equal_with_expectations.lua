
local function refuse(handle, status, code)
  handle:respond({[":status"] = status, ["x-keybound-code"] = code}, code)
end

local function within(address, networks)
  local a, b, c, d = string.match(address, "^(%d+)%.(%d+)%.(%d+)%.(%d+)")
  if not a then
    return false
  end
  local number = network(a, b, c, d)
  for _, allowed in ipairs(networks) do
    if bit.band(number, allowed.mask) == allowed.address then
      return true
    end
  end
  return false
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local credential = headers:get("x-api-key")
  if not credential then
    return refuse(handle, "401", "key_missing")
  end
  local key = KEYS[credential]
  if not key then
    return refuse(handle, "401", "key_unknown")
  end
  if key.status ~= "active" then
    return refuse(handle, "401", "key_disabled")
  end
  if os.time() >= key.expires_at then
    return refuse(handle, "401", "key_expired")
  end
  local user = USERS[key.user]
  if not user or user.status ~= "active" then
    return refuse(handle, "403", "user_suspended")
  end
  local tenant = TENANTS[key.tenant]
  if not tenant or user.tenant ~= key.tenant then
    return refuse(handle, "403", "tenant_missing")
  end
  if tenant.status ~= "active" then
    return refuse(handle, "403", "tenant_suspended")
  end
  if headers:get("x-tenant") ~= key.tenant then
    return refuse(handle, "403", "tenant_mismatch")
  end
  if not key.scope["orders:read"] then
    return refuse(handle, "403", "scope_missing")
  end
  if not within(handle:streamInfo():downstreamRemoteAddress(), key.networks) then
    return refuse(handle, "403", "address_not_allowed")
  end
  headers:remove("x-api-key")
  headers:replace("x-key-id", key.id)
  headers:replace("x-user-id", key.user)
  headers:replace("x-tenant-id", key.tenant)
  headers:replace("x-key-scopes", key.scopes)
end
