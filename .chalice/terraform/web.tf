# The bucket and the distribution of the web app, with web_app_api alone.

resource "aws_s3_bucket" "web" {
  #checkov:skip=CKV_AWS_18:Only the distribution reads it, and everybody may read what is in it.
  #checkov:skip=CKV_AWS_21:Its files are built from the repository, which has their earlier versions.
  #checkov:skip=CKV_AWS_144:Likewise: they can be built again.
  #checkov:skip=CKV_AWS_145:Everybody may read what is in it.
  #checkov:skip=CKV2_AWS_61:Its files are few, and replaced with each release.
  #checkov:skip=CKV2_AWS_62:Nothing has to be done when a file changes.

  count         = local.has_web_app ? 1 : 0
  bucket_prefix = "${local.name}-web-"
}

resource "aws_s3_bucket_public_access_block" "web" {
  count                   = local.has_web_app ? 1 : 0
  bucket                  = aws_s3_bucket.web[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "web" {
  count  = local.has_web_app ? 1 : 0
  bucket = aws_s3_bucket.web[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "cloudfront.amazonaws.com" }
      Action    = "s3:GetObject"
      Resource  = "${aws_s3_bucket.web[0].arn}/*"
      Condition = { StringEquals = { "AWS:SourceArn" = aws_cloudfront_distribution.web[0].arn } }
    }]
  })
}

resource "aws_cloudfront_origin_access_control" "web" {
  count                             = local.has_web_app ? 1 : 0
  name                              = "${local.name}-web"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_response_headers_policy" "web" {
  #checkov:skip=CKV_AWS_259:Subdomains and a preload list concern a domain of your own, which decides that itself.

  count = local.has_web_app ? 1 : 0
  name  = "${local.name}-web"

  security_headers_config {
    content_security_policy {
      content_security_policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ${var.web_app_api} https://${var.domain_prefix}.auth.${data.aws_region.current.id}.amazoncognito.com; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
      override                = true
    }
    content_type_options {
      override = true
    }
    referrer_policy {
      referrer_policy = "no-referrer"
      override        = true
    }
    strict_transport_security {
      access_control_max_age_sec = 31536000
      override                   = true
    }
  }

  custom_headers_config {
    items {
      header   = "Cross-Origin-Opener-Policy"
      value    = "same-origin"
      override = true
    }
    items {
      header   = "Permissions-Policy"
      value    = "camera=(), geolocation=(), microphone=()"
      override = true
    }
  }

  lifecycle {
    ignore_changes = [remove_headers_config] # none is removed; an emulator reports that as an empty block
  }
}

resource "aws_cloudfront_distribution" "web" {
  #checkov:skip=CKV_AWS_68:A firewall costs 5 dollars a month and each call. Associate yours with the distribution.
  #checkov:skip=CKV2_AWS_47:Likewise.
  #checkov:skip=CKV_AWS_86:It serves files without secrets; the API has its own access log.
  #checkov:skip=CKV_AWS_174:CloudFront sets the TLS version with a certificate of your own, which a domain of your own needs.
  #checkov:skip=CKV2_AWS_42:Likewise.
  #checkov:skip=CKV_AWS_310:The files are in one bucket.
  #checkov:skip=CKV_AWS_374:Users may be anywhere.

  count               = local.has_web_app ? 1 : 0
  enabled             = true
  http_version        = "http2and3"
  price_class         = "PriceClass_100"
  default_root_object = "index.html"

  origin {
    origin_id                = "files"
    domain_name              = aws_s3_bucket.web[0].bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.web[0].id
  }

  default_cache_behavior {
    target_origin_id           = "files"
    viewer_protocol_policy     = "redirect-to-https"
    compress                   = true
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    cache_policy_id            = "658327ea-f89d-4fab-a63d-7e88639e58f6" # CachingOptimized, of AWS
    response_headers_policy_id = aws_cloudfront_response_headers_policy.web[0].id
  }

  # A path without a file, such as /callback, is a page of the web app.
  custom_error_response {
    error_code            = 403
    response_code         = 200
    response_page_path    = "/index.html"
    error_caching_min_ttl = 60
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  viewer_certificate {
    cloudfront_default_certificate = true
  }
}
