-- Sends each new CR or DX film to Neumo by STOW-RS, in a job of its own: instead of neumo.lua,
-- where HTTPS is easier to let through than DICOM. A failed job is resubmitted as there, but
-- Orthanc forgets it when it is restarted: neumo reconcile finds what that loses.

function OnStoredInstance(instanceId, tags, metadata, origin)
  -- Never back what came from Neumo (or it would go round for ever), never a result.
  if origin['RemoteAet'] == 'NEUMO' or tags['Manufacturer'] == 'Neumo' then return end
  if tags['Modality'] ~= 'CR' and tags['Modality'] ~= 'DX' then return end
  RestApiPost('/dicom-web/servers/neumo/stow',
              DumpJson({ Resources = { instanceId }, Synchronous = false }, true))
end
